// Where a link's frames are recorded.
#pragma once
#include "model/core/frame.h"
#include "model/core/units.h"

namespace understudy {

class capture_sink {
 public:
  virtual ~capture_sink() = default;
  // A frame's first bit leaves on the wire at `at`. `interface`: the link's number in the capture.
  // `outbound`: it goes from the link's side a to side b. `comment`: what the wire does to it; nullptr:
  // nothing. The frame is recorded as its sender made it.
  virtual void frame(picos at, unsigned interface, bool outbound, const frame_ref& f,
                     const char* comment) = 0;
};

}  // namespace understudy
