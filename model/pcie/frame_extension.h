// Ignorable extension (IEEE 1666 14.2.1) of a DMA write whose data lie in a pooled frame: a target may keep
// the frame instead of copying the data. While it is kept, nobody writes those bytes.
#pragma once
#include <tlm>

#include "model/core/frame.h"

namespace understudy {

struct frame_extension : tlm::tlm_extension<frame_extension> {
  frame_ref frame;  // the payload's data pointer points into it; empty: the extension says nothing

  tlm::tlm_extension_base* clone() const override {
    auto* e = new frame_extension;
    e->frame = frame;
    return e;
  }
  void copy_from(const tlm::tlm_extension_base& o) override {
    frame = static_cast<const frame_extension&>(o).frame;
  }
};

}  // namespace understudy
