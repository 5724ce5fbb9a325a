#include "tb/monitors/event_history.h"

#include <algorithm>

#include "tb/monitors/event_text.h"

namespace understudy::tb {

void event_history::note(const event& e) {
  entry& to = ring_[noted_++ % depth];
  to.what = e;
  to.what.data = nullptr;
  now_ = e.at;
  if (e.kind != event_kind::frame_out && e.kind != event_kind::frame_in) return;  // no text shows its bytes
  std::copy_n(e.data, std::min(e.length, kept_bytes), to.data.begin());
  to.what.data = to.data.data();
}

std::vector<std::string> event_history::lines() const {
  std::vector<std::string> all;
  for (std::uint64_t i = noted_ > depth ? noted_ - depth : 0; i < noted_; ++i)
    all.push_back(event_text(ring_[i % depth].what));
  return all;
}

}  // namespace understudy::tb
