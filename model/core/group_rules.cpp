#include "model/core/group_rules.h"

#include <algorithm>

namespace understudy {

namespace {

// Of an attribute that two rules may name: whether both name it with different values.
struct term {
  std::uint16_t bit;
  std::uint32_t (*value)(const group_rule&);
};
constexpr term plain_terms[] = {
    {US_TERM_LOCAL_PORT, [](const group_rule& r) -> std::uint32_t { return r.local_port; }},
    {US_TERM_VLAN, [](const group_rule& r) -> std::uint32_t { return r.vlan; }},
    {US_TERM_DSCP, [](const group_rule& r) -> std::uint32_t { return r.dscp; }},
    {US_TERM_PROCESS, [](const group_rule& r) -> std::uint32_t { return r.process; }},
    {US_TERM_SET, [](const group_rule& r) -> std::uint32_t { return r.set; }},
    {US_TERM_PRIORITY, [](const group_rule& r) -> std::uint32_t { return r.priority; }},
    {US_TERM_SIZE_CLASS, [](const group_rule& r) -> std::uint32_t { return r.size_class; }},
};
struct prefix_term {
  std::uint16_t bit;
  ip_address group_rule::*ip;
  std::uint8_t group_rule::*bits;
};
constexpr prefix_term prefix_terms[] = {
    {US_TERM_LOCAL_PREFIX, &group_rule::local, &group_rule::local_prefix},
    {US_TERM_REMOTE_PREFIX, &group_rule::remote, &group_rule::remote_prefix},
};

// The rule that a connection with just these attributes would be.
group_rule exact(const connection_traits& t) {
  group_rule r;
  r.terms = US_TERMS_ALL;
  r.local_port = t.local_port;
  r.vlan = t.vlan;
  r.set = t.terms.set;
  r.process = t.terms.process;
  r.dscp = t.dscp;
  r.priority = t.terms.priority_class & 15;
  r.size_class = t.terms.priority_class >> 4;
  r.local_prefix = r.remote_prefix = 128;
  r.local = t.local;
  r.remote = t.remote;
  return r;
}

}  // namespace

bool contains(const group_rule& outer, const group_rule& inner) {
  if (outer.terms & ~inner.terms) return false;
  for (const term& t : plain_terms)
    if ((outer.terms & t.bit) && t.value(outer) != t.value(inner)) return false;
  for (const prefix_term& t : prefix_terms)
    if ((outer.terms & t.bit) &&
        (outer.*t.bits > inner.*t.bits || !same_network(outer.*t.ip, inner.*t.ip, outer.*t.bits)))
      return false;
  return true;
}

bool matches(const group_rule& r, const connection_traits& t) {
  return r.terms && contains(r, exact(t));
}

bool overlap(const group_rule& a, const group_rule& b) {
  const std::uint16_t both = a.terms & b.terms;
  for (const term& t : plain_terms)
    if ((both & t.bit) && t.value(a) != t.value(b)) return false;
  for (const prefix_term& t : prefix_terms)
    if ((both & t.bit) && !same_network(a.*t.ip, b.*t.ip, std::min(a.*t.bits, b.*t.bits))) return false;
  return true;
}

bool possible(const group_rule& r) {
  constexpr std::uint16_t prefixes = US_TERM_LOCAL_PREFIX | US_TERM_REMOTE_PREFIX;
  if ((r.terms & prefixes) != prefixes) return true;
  // IPv4 addresses lie in ::ffff:0:0/96: a prefix is inside of it, outside of it, or contains it.
  const auto is_v4 = [](const ip_address& ip, unsigned bits) { return bits >= 96 && ip.is_v4(); };
  const auto is_v6 = [](const ip_address& ip, unsigned bits) {
    const ip_address mapped = ip_address::v4(0);
    return !same_network(ip, mapped, std::min(bits, 96u));
  };
  return !(is_v4(r.local, r.local_prefix) && is_v6(r.remote, r.remote_prefix)) &&
         !(is_v6(r.local, r.local_prefix) && is_v4(r.remote, r.remote_prefix));
}

us_status group_rules::set(unsigned index, const group_rule& r) {
  if (index == 0 || index >= US_GROUPS || r.terms == 0 || (r.terms & ~US_TERMS_ALL) ||
      r.vlan > US_VLAN_MOST || r.dscp > 63 || r.priority > 15 || r.size_class > 15 || r.local_prefix > 128 ||
      r.remote_prefix > 128)
    return US_ERR_BAD_LENGTH;
  if (!possible(r)) return US_ERR_BAD_ADDRESS;
  for (unsigned i = 1; i < US_GROUPS; ++i) {
    if (i == index || rules_[i].terms == 0 || !overlap(rules_[i], r)) continue;
    if (contains(rules_[i], r) == contains(r, rules_[i])) return US_ERR_BAD_STATE;
  }
  rules_[index] = r;
  return US_OK;
}

unsigned group_rules::resolve(const connection_traits& t) const {
  unsigned best = 0;
  for (unsigned i = 1; i < US_GROUPS; ++i)
    if (matches(rules_[i], t) && (best == 0 || contains(rules_[best], rules_[i]))) best = i;
  return best;
}

}  // namespace understudy
