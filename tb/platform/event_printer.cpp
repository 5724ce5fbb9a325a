#include "tb/platform/event_printer.h"

#include "tb/monitors/event_text.h"

namespace understudy::tb {

void event_printer::on_event(const event& e) {
  to_ << event_text(e) << '\n';
}

}  // namespace understudy::tb
