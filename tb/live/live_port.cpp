#include "tb/live/live_port.h"

namespace understudy::tb {

live_port::live_port(const sc_core::sc_module_name& name, far_end& f)
    : sc_module(name), far_(f), ethernet_("out", "in", *this) {}

void live_port::inject(frame_ref f) {
  waiting_.push_back(std::move(f));
  if (!busy_) pump();
}

void live_port::pump() {
  busy_ = !waiting_.empty();
  if (!busy_) return;
  frame_ref f = waiting_.pop_front();
  if (watcher_) watcher_(f, true, now_ps());
  agenda_.at(ethernet_.out->take(std::move(f)), [this] { pump(); });
}

picos live_port::take(frame_ref f) {
  if (watcher_) watcher_(f, false, now_ps());
  far_.write(f);
  return now_ps();
}

}  // namespace understudy::tb
