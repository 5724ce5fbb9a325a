// IP address to MAC address on the attached link (RFC 826), in each of its VLANs. Soft state.
#pragma once
#include <cstdint>
#include <cstring>
#include <list>
#include <unordered_map>

#include "model/core/inet.h"
#include "model/core/units.h"

namespace understudy {

class neighbours {
 public:
  struct station {
    ip_address ip;
    std::uint16_t vlan = 0;  // 0: untagged
    bool operator==(const station&) const = default;
  };
  static constexpr picos request_interval = 100_ms;  // between two requests for one address
  static constexpr unsigned most_requests = 10;      // in a row; what else is sent there begins anew
  static constexpr std::size_t max_entries = 65536;  // a peer that invents addresses fills no more than this

  // What a frame of that station taught. In a full table it takes the place of the one that was learnt or
  // found longest ago.
  void learn(const station& s, const mac_address& mac) {
    if (entry* known = touch(s)) {
      known->mac = mac;
      return;
    }
    if (known_.size() >= max_entries) {
      known_.erase(by_use_.back().who);
      by_use_.pop_back();
    }
    by_use_.push_front({s, mac});
    known_.emplace(s, by_use_.begin());
    asked_.erase(s);
  }
  // The MAC, or null.
  const mac_address* find(const station& s) {
    const entry* const known = touch(s);
    return known ? &known->mac : nullptr;
  }
  bool knows(const station& s) const { return known_.contains(s); }
  // True if a request for it should go out now (and notes that it does). `again`: since the one before has
  // not been answered.
  bool may_ask(const station& s, picos now, bool again = false) {
    if (asked_.size() >= max_entries) asked_.clear();
    const auto [it, first] = asked_.try_emplace(s, question{now, 1});
    question& q = it->second;
    if (first) return true;
    if (now - q.at < request_interval || (again && q.times >= most_requests)) return false;
    q = {now, again ? q.times + 1 : 1};
    return true;
  }
  void clear() {
    known_.clear();
    by_use_.clear();
    asked_.clear();
  }

 private:
  struct hash {
    std::size_t operator()(const station& s) const noexcept {
      std::uint64_t w[2];
      std::memcpy(w, s.ip.bytes.data(), 16);
      return static_cast<std::size_t>((w[0] ^ ((w[1] + s.vlan) * 0x9e3779b97f4a7c15ULL)) >> 7);
    }
  };
  struct entry {
    station who;
    mac_address mac;
  };
  struct question {
    picos at;
    unsigned times;
  };

  // The entry, as the one used last; null: none.
  entry* touch(const station& s) {
    const auto it = known_.find(s);
    if (it == known_.end()) return nullptr;
    by_use_.splice(by_use_.begin(), by_use_, it->second);
    return &*it->second;
  }

  std::list<entry> by_use_;  // the last used first
  std::unordered_map<station, std::list<entry>::iterator, hash> known_;
  std::unordered_map<station, question, hash> asked_;
};

}  // namespace understudy
