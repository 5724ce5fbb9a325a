#include "tb/platform/outside_port.h"

namespace understudy::tb {

outside_port::outside_port(const sc_core::sc_module_name& name, receiver r)
    : sc_module(name), receive_(std::move(r)), ethernet_("out", "in", *this) {}

void outside_port::inject(frame_ref f, picos at) {
  if (at <= now_ps()) return enter(std::move(f));
  later_.emplace(at, std::move(f));
  agenda_.at(at, [this] {
    auto next = later_.extract(later_.begin());
    enter(std::move(next.mapped()));
  });
}

void outside_port::enter(frame_ref f) {
  waiting_.push_back(std::move(f));
  if (!busy_) pump();
}

void outside_port::pump() {
  busy_ = !waiting_.empty();
  if (!busy_) return;
  frame_ref f = waiting_.pop_front();
  if (watcher_) watcher_(f, true, now_ps());
  agenda_.at(ethernet_.out->take(std::move(f)), [this] { pump(); });
}

picos outside_port::take(frame_ref f) {
  if (watcher_) watcher_(f, false, now_ps());
  receive_(f);
  return now_ps();
}

}  // namespace understudy::tb
