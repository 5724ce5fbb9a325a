// IP address to MAC address on the attached link (RFC 826), in each of its VLANs. Soft state.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

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
  static constexpr std::size_t max_entries = 65536;  // a peer that invents addresses fills no more than this

  // What a frame of that station taught. A full table learns nothing new.
  void learn(const station& s, const mac_address& mac) {
    const auto it = known_.find(s);
    if (it != known_.end()) {
      it->second = mac;
    } else if (known_.size() < max_entries) {
      known_.emplace(s, mac);
      asked_.erase(s);
    }
  }
  // The MAC, or null.
  const mac_address* find(const station& s) const {
    const auto it = known_.find(s);
    return it == known_.end() ? nullptr : &it->second;
  }
  // True if a request for it should go out now (and notes that it does).
  bool may_ask(const station& s, picos now) {
    if (asked_.size() >= max_entries) asked_.clear();
    const auto [it, first] = asked_.try_emplace(s, now);
    if (!first && now - it->second < request_interval) return false;
    it->second = now;
    return true;
  }
  void clear() {
    known_.clear();
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
  std::unordered_map<station, mac_address, hash> known_;
  std::unordered_map<station, picos, hash> asked_;
};

}  // namespace understudy
