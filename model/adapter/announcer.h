// Established connections, gathered until the host is to be told of them: all in one burst of records, behind
// which one interrupt goes (docs/establishment.md). Order is kept: connections are announced as they were
// established.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "model/abi/ids.h"
#include "model/abi/understudy_abi.h"
#include "model/core/fifo.h"
#include "model/core/inplace_function.h"
#include "model/sim/agenda.h"

namespace understudy {

// Why a burst was written.
enum class announce_reason : std::uint8_t {
  count,   // as many as one announcement gathers
  age,     // the oldest has waited long enough
  data,    // its peer has spoken: the host has something to do
  idle,    // the host asked
  space,   // the output table or the pool of buffers runs short
  urgent,  // one that may not wait
  flush    // a command
};
inline constexpr std::size_t announce_reasons = 7;

struct announce_counters {
  std::uint64_t connections = 0;  // announced
  std::uint64_t bursts = 0;
  std::uint64_t commit_writes = 0;  // records that committed a handshake before its announcement
  std::uint64_t collapsed = 0;      // ended before they were announced: the host hears of no establishment
  std::uint64_t held = 0;           // had to wait for an accept credit
  std::array<std::uint64_t, announce_reasons> by_reason{};  // bursts
};

class announcer {
 public:
  // Write these records, all ESTABLISHED, as one burst.
  using burst = inplace_function<void(std::span<us_record>), 16>;

  announcer(agenda& work, burst write) : work_(work), write_(std::move(write)) {}

  // `count` 0: nothing is gathered, and only listeners and counters are kept here. `age` 0: no limit.
  void configure(std::uint32_t count, picos age);
  bool gathers() const { return count_ != 0; }
  std::uint32_t waiting() const { return static_cast<std::uint32_t>(batch_.size()); }
  // Back to the state after construction, counters apart.
  void clear();

  // ---- listeners
  // `credits` 0: no limit.
  void listen(std::uint8_t addr_index, std::uint16_t port, std::uint32_t credits, bool urgent);
  void unlisten(std::uint8_t addr_index, std::uint16_t port);
  // The application has accepted `n` more. False: no such listener.
  bool accepted(std::uint8_t addr_index, std::uint16_t port, std::uint32_t n);
  // Take a credit for a handshake that begins. False: none is left, the connection will have to be held.
  bool reserve(std::uint8_t addr_index, std::uint16_t port);
  // A connection that had one ended before it was announced.
  void give_back(std::uint8_t addr_index, std::uint16_t port);

  // ---- connections
  // A connection is established; `r` will announce it. `held`: it has no credit.
  void add(const us_record& r, bool urgent, bool held);
  // It ended: nothing is to be announced any more. False: it did not wait here.
  bool withdraw(cid c);
  // It may not be held any longer (its peer speaks): announce it with all that waits.
  void release(cid c, announce_reason why);
  void flush(announce_reason why);

  announce_counters counters;

 private:
  struct listener {
    std::uint32_t credits = 0;
    bool limited = false;
    bool urgent = false;
  };
  static std::uint32_t key(std::uint8_t addr_index, std::uint16_t port) {
    return static_cast<std::uint32_t>(addr_index) << 16 | port;
  }
  void gather(const us_record& r, bool urgent);

  agenda& work_;
  burst write_;
  std::uint32_t count_ = 0;
  picos age_ = 0;
  std::map<std::uint32_t, listener> listeners_;
  std::vector<us_record> batch_;
  std::vector<us_record> held_;  // in the order of their establishment
  std::uint64_t batches_ = 0;    // begun: an age timer is for one of them
};

}  // namespace understudy
