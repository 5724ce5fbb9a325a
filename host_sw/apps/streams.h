// Sessions that move bytes: echo (RFC 862), discard (RFC 863), byte pump.
#pragma once
#include <memory>

#include "host_sw/apps/service.h"

namespace understudy::host {

// Sends back what it gets, in order, until the peer's end of stream; then closes.
std::unique_ptr<session> make_echo();
// Throws away what it gets, until the peer's end of stream; then closes.
std::unique_ptr<session> make_discard();
// Sends without end, byte n of the stream being pump_byte(n); throws away what it gets; closes after the
// peer's end of stream.
std::unique_ptr<session> make_pump();
constexpr std::uint8_t pump_byte(std::uint64_t n) {
  return static_cast<std::uint8_t>(n % 251);  // a prime: lost or repeated blocks of 2^n bytes show
}

}  // namespace understudy::host
