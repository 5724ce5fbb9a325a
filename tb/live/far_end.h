// The real end of the modelled wire.
#pragma once
#include <poll.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/core/frame.h"
#include "model/core/units.h"
#include "tb/live/pacer.h"

namespace understudy::tb {

struct far_end_counters {
  std::uint64_t frames_in = 0;   // from the real network
  std::uint64_t frames_out = 0;  // to it
  std::uint64_t while_down = 0;  // for it, and lost, because its device was down
  std::uint64_t bytes_in = 0;    // of frames, without FCS
  std::uint64_t bytes_out = 0;
  std::uint64_t writes = 0;  // that took frames_out: several frames may go in one
  std::uint64_t reads = 0;   // that brought frames_in, likewise
  // Shorter than an Ethernet header or longer than frame_ref::max_bytes, or not to be cut into such.
  std::uint64_t refused_in = 0;
  std::uint64_t refused_out = 0;  // the network did not take it, though it was up
};

class far_end {
 public:
  struct arrival {
    frame_ref f;   // empty: none
    picos at = 0;  // when it is to enter the wire; 0: at once
  };

  virtual ~far_end() = default;
  // The run begins at the simulated instant `now`.
  virtual void start(picos /*now*/) {}
  // What to wait for, at the end of `all`, and for how long at most (nanoseconds).
  virtual void before_wait(std::vector<pollfd>& all, wall_nanos& longest) = 0;
  // `mine`: what before_wait() added, as poll() left it.
  virtual void after_wait(std::span<const pollfd> /*mine*/) {}
  // When the next frame of a recording is due.
  virtual picos next() const { return never; }
  // The next frame that waits, or is due by the instant `horizon`.
  virtual arrival read(picos horizon) = 0;
  virtual void write(const frame_ref& f) = 0;
  // No frame that was written waits any longer.
  virtual void flush() {}
  // Why nothing will come any more, where that fails the run; empty: it does not.
  virtual std::string gone() const { return {}; }
  // All that there is to come has come by the instant `now`: the run may end.
  virtual bool finished(picos /*now*/) const { return false; }
  // One line for the summary, and who answers there.
  virtual std::string describe() const = 0;
  virtual const char* peer() const = 0;
  const far_end_counters& count() const { return count_; }

 protected:
  // Counts a frame from the network; empty if it is none that the model takes.
  frame_ref taken_in(const void* data, std::size_t bytes) {
    constexpr std::size_t ethernet_header = 14;
    if (bytes < ethernet_header || bytes > frame_ref::max_bytes) {
      ++count_.refused_in;
      return {};
    }
    ++count_.reads;
    frame_ref f = frame_ref::copy_of(data, static_cast<std::uint32_t>(bytes));
    came_in(f);
    return f;
  }
  void came_in(const frame_ref& f) {
    ++count_.frames_in;
    count_.bytes_in += f.size();
  }
  void sent_out(const frame_ref& f) { sent_out(1, f.size()); }
  // By one write.
  void sent_out(unsigned frames, std::uint64_t bytes) {
    ++count_.writes;
    count_.frames_out += frames;
    count_.bytes_out += bytes;
  }

  far_end_counters count_;
};

}  // namespace understudy::tb
