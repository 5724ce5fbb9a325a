// Which group's receive buffers a connection begins with: ternary rules over its attributes, of which the
// most specific one holds. Resolved once, when the connection begins.
#pragma once
#include <array>
#include <cstdint>

#include "model/abi/understudy_abi.h"
#include "model/core/inet.h"

namespace understudy {

// What rules look at.
struct connection_traits {
  ip_address local;
  ip_address remote;
  std::uint16_t local_port = 0;
  std::uint16_t vlan = 0;  // 0: untagged
  std::uint8_t dscp = 0;   // of the segment that began it; 0 if the host did
  us_memory_terms terms{};
};

// A conjunction: each term of `terms` (US_TERM_ bits) must be equal.
struct group_rule {
  std::uint16_t terms = 0;  // 0: no rule
  std::uint16_t local_port = 0;
  std::uint16_t vlan = 0;
  std::uint16_t set = 0;
  std::uint32_t process = 0;
  std::uint8_t dscp = 0;
  std::uint8_t priority = 0;
  std::uint8_t size_class = 0;
  std::uint8_t local_prefix = 0;  // bits of the 128
  std::uint8_t remote_prefix = 0;
  ip_address local;
  ip_address remote;
};

bool matches(const group_rule& r, const connection_traits& t);
// Every connection that `inner` matches, `outer` matches too.
bool contains(const group_rule& outer, const group_rule& inner);
// Some connection can match both.
bool overlap(const group_rule& a, const group_rule& b);
// Some connection can match it: values are in range, and both prefixes are of one family.
bool possible(const group_rule& r);

class group_rules {
 public:
  // US_OK; US_ERR_BAD_LENGTH: no term, an unknown one or a value out of range; US_ERR_BAD_ADDRESS: it matches
  // nothing; US_ERR_BAD_STATE: it overlaps another rule and neither contains the other, or both are the same.
  // Nothing has changed then. `index` is 1 to US_GROUPS - 1.
  us_status set(unsigned index, const group_rule& r);
  // 0: no rule matches. Rules that match are nested, so that one of them is the most specific.
  unsigned resolve(const connection_traits& t) const;
  bool used(unsigned index) const { return rules_[index].terms != 0; }
  void clear() { rules_ = {}; }

 private:
  std::array<group_rule, US_GROUPS> rules_{};
};

}  // namespace understudy
