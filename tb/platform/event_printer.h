// Every event as a line of text (`-v -v`): for people who follow one run closely.
#pragma once
#include <ostream>

#include "model/core/event_log.h"

namespace understudy::tb {

class event_printer : public event_observer {
 public:
  explicit event_printer(std::ostream& to) : to_(to) {}
  void on_event(const event& e) override;

 private:
  std::ostream& to_;
};

}  // namespace understudy::tb
