#include "tb/monitors/event_history.h"

#include <algorithm>

#include "tb/monitors/event_text.h"

namespace understudy::tb {

void event_history::note(const event& e) {
  entry& to = ring_[noted_++ % depth];
  to.what = e;
  if (e.data) std::copy_n(e.data, std::min(e.length, kept_bytes), to.data.begin());
  now_ = e.at;
}

std::vector<std::string> event_history::lines() const {
  std::vector<std::string> all;
  for (std::uint64_t i = noted_ > depth ? noted_ - depth : 0; i < noted_; ++i) {
    const entry& kept = ring_[i % depth];
    event e = kept.what;
    e.data = e.data ? kept.data.data() : nullptr;
    all.push_back(event_text(e));
  }
  return all;
}

}  // namespace understudy::tb
