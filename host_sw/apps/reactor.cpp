#include "host_sw/apps/reactor.h"

#include <utility>

namespace understudy::host {

reactor::reactor(sockets& s, hal& machine) : sockets_(s), machine_(machine) {
  s.set_notifier([](void* self, int fd, unsigned events) { static_cast<reactor*>(self)->note(fd, events); },
                 this);
}

reactor::~reactor() {
  sockets_.set_notifier(nullptr, nullptr);
  if (scheduled_) machine_.timer_stop(timer_);
}

void reactor::watch(int fd, socket_user* user) {
  const auto i = static_cast<std::size_t>(fd);
  if (i >= users_.size()) {
    users_.resize(i + 1);
    pending_.resize(i + 1);
  }
  users_[i] = user;
  pending_[i] = 0;
}

void reactor::again(int fd, unsigned events) {
  note(fd, events);
}

void reactor::note(int fd, unsigned events) {
  const auto i = static_cast<std::size_t>(fd);
  if (i >= users_.size() || !users_[i]) return;
  if (pending_[i] == 0) ready_.push_back(fd);
  pending_[i] |= events;
  schedule();
}

void reactor::schedule() {
  if (ready_.empty() || std::exchange(scheduled_, true)) return;
  timer_ = machine_.timer_start(
      0, [](void* self) { static_cast<reactor*>(self)->dispatch(); }, this);
}

// One socket at a time: what the driver has to do comes in between.
void reactor::dispatch() {
  scheduled_ = false;
  const int fd = ready_.front();
  ready_.pop_front();
  const auto i = static_cast<std::size_t>(fd);
  const unsigned events = std::exchange(pending_[i], 0u);
  if (events && users_[i]) users_[i]->on_events(fd, events);
  schedule();
}

}  // namespace understudy::host
