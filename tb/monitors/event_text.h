// An event as a line of text, for people: number, instant, unit, kind, and what it says.
#pragma once
#include <string>

#include "model/core/event_log.h"

namespace understudy::tb {

// Without a newline. Of a frame's data no more is read than its headers.
std::string event_text(const event& e);

}  // namespace understudy::tb
