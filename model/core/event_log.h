// The one numbered sequence of everything that happens: what the trace hash is fed with, what monitors see,
// what a crash point counts. Events are numbered from 1. Observers see an event after it was numbered and
// hashed, and never change it.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "model/core/units.h"

namespace understudy {

enum class event_kind : std::uint8_t {
  frame_out,  // a frame's first bit leaves a port. unit: port; a: length; data: frame
  frame_in,   // a frame's last bit has arrived at a port. unit: port; a: length; data: frame
  tlp_up,  // a TLP leaves the adapter towards the host. unit: adapter; a: address; b: tlp type << 32 | length
  tlp_down,  // a TLP arrives at the adapter. unit: adapter; a: address or tag; b: tlp type << 32 | length
  write_visible,  // a DMA write is visible in host memory. unit: adapter; a: iova; b: length; data: the bytes
  mmio_write,     // a register write takes effect. unit: adapter; a: offset; b: value
  mmio_read,      // a register read is answered. unit: adapter; a: offset; b: value
  interrupt,      // an MSI-X write is visible. unit: adapter; a: vector
  timer,          // a protocol timer fires. unit: adapter; a: connection; b: which
  engine_step,    // the engine changes a connection. unit: adapter; a: connection; b: step code << 32 | value
  recovery_step,  // the host's failover manager moves on. unit: adapter; a: state; b: from-adapter
  fault,          // an injected fault takes effect. unit: its target; a: what it does to it, below
};
inline constexpr int event_kinds = static_cast<int>(event_kind::fault) + 1;

// Step codes of event_kind::engine_step, besides enum us_record_type (with the sequence number that it is
// about).
inline constexpr std::uint64_t committed_step =
    0xc0;  // the host is known to hold everything before the value
inline constexpr std::uint64_t handed_over_step =
    0xd0;  // what was held back goes to the host, up to the value

// What event_kind::fault carries in `a`.
inline constexpr std::uint64_t lost_fault = 0;        // the adapter is lost
inline constexpr std::uint64_t harmless_fault = 1;    // it goes on as before
inline constexpr std::uint64_t unsilenced_fault = 2;  // it is lost to the host, but goes on by itself

struct event {
  event_kind kind{};
  std::uint16_t unit = 0;  // which adapter or port, numbered by the platform
  picos at = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  const std::uint8_t* data = nullptr;  // valid during the call only
  std::uint32_t length = 0;            // of data
  std::uint64_t number = 0;            // set by the log
};

class event_observer {
 public:
  virtual ~event_observer() = default;
  virtual void on_event(const event& e) = 0;
};

// Feeds the hash and tells the observers of an event's kind, in the order in which they subscribed. Outlives
// everything that holds it.
class event_log {
 public:
  // Number, hash and publish an event. The hash takes kind, unit, time, a, b and up to 64 bytes of data
  // (headers hold a checksum over the rest).
  void emit(event e) {
    e.number = ++count_;
    mix(static_cast<std::uint64_t>(e.kind) << 56 | static_cast<std::uint64_t>(e.unit) << 40);
    mix(e.at);
    mix(e.a);
    mix(e.b);
    const std::uint32_t n = e.length < 64 ? e.length : 64;
    std::uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
      std::uint64_t w;
      std::memcpy(&w, e.data + i, 8);
      mix(w);
    }
    if (i < n) {
      std::uint64_t w = 0;
      std::memcpy(&w, e.data + i, n - i);
      mix(w);
    }
    for (event_observer* o : observers_[static_cast<std::size_t>(e.kind)]) o->on_event(e);
  }
  // `o` is told of every event from here on.
  void subscribe(event_observer* o) {
    for (auto& of_kind : observers_) of_kind.push_back(o);
  }
  // `o` is told of events of these kinds only.
  void subscribe(event_observer* o, std::initializer_list<event_kind> kinds) {
    for (const event_kind k : kinds) observers_[static_cast<std::size_t>(k)].push_back(o);
  }
  // Number of the newest event; 0 before the first.
  std::uint64_t count() const { return count_; }
  // Hash of everything so far.
  std::uint64_t hash() const { return hash_; }

 private:
  void mix(std::uint64_t v) {
    const uint128 p = static_cast<uint128>(hash_ ^ v) * 0x9e3779b97f4a7c15ULL;
    hash_ = static_cast<std::uint64_t>(p) ^ static_cast<std::uint64_t>(p >> 64) ^ 0x2545f4914f6cdd1dULL;
  }
  std::uint64_t hash_ = 0x5bd1e9955bd1e995ULL;
  std::uint64_t count_ = 0;
  std::array<std::vector<event_observer*>, event_kinds> observers_;
};

}  // namespace understudy
