// Which group a connection belongs to: every term, the most specific of nested rules, and rules that are
// refused.
#include "model/core/group_rules.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

connection_traits traits(std::uint16_t port = 80) {
  connection_traits t;
  t.local = ip_address::v4(10, 0, 0, 1);
  t.remote = ip_address::v4(10, 9, 0, 7);
  t.local_port = port;
  t.vlan = 5;
  t.dscp = 46;
  t.terms = {77, 3, 2 | 4 << 4, 0};
  return t;
}

group_rule rule(std::uint16_t terms) {
  group_rule r;
  r.terms = terms;
  r.local_port = 80;
  r.vlan = 5;
  r.dscp = 46;
  r.process = 77;
  r.set = 3;
  r.priority = 2;
  r.size_class = 4;
  r.local = ip_address::v4(10, 0, 0, 0);
  r.local_prefix = 96 + 24;
  r.remote = ip_address::v4(10, 9, 0, 0);
  r.remote_prefix = 96 + 16;
  return r;
}

TEST(group_rules, each_term_matches_its_value_and_no_other) {
  for (std::uint16_t term = 1; term & US_TERMS_ALL; term = static_cast<std::uint16_t>(term << 1)) {
    EXPECT_TRUE(matches(rule(term), traits())) << term;
    connection_traits other;
    other.local = ip_address::v4(192, 168, 0, 1);
    other.remote = ip_address::v4(192, 168, 0, 2);
    EXPECT_FALSE(matches(rule(term), other)) << term;
  }
  EXPECT_TRUE(matches(rule(US_TERMS_ALL), traits()));
  connection_traits almost = traits();
  almost.terms.set = 4;
  EXPECT_FALSE(matches(rule(US_TERMS_ALL), almost)) << "all terms must hold";
  EXPECT_FALSE(matches(rule(0), traits())) << "no rule";
}

TEST(group_rules, a_prefix_matches_by_its_bits) {
  group_rule r;
  r.terms = US_TERM_REMOTE_PREFIX;
  r.remote = ip_address::v4(10, 9, 0, 0);
  for (const auto& [bits, inside] :
       {std::pair{8, true}, {15, true}, {16, true}, {29, true}, {30, false}, {32, false}}) {
    r.remote_prefix = static_cast<std::uint8_t>(96 + bits);
    EXPECT_EQ(matches(r, traits()), inside) << bits;
  }
}

TEST(group_rules, MM_2_the_most_specific_of_nested_rules_holds_in_any_order) {
  for (const bool narrow_first : {false, true}) {
    group_rules g;
    const auto narrow = rule(US_TERM_LOCAL_PORT | US_TERM_REMOTE_PREFIX);
    const auto wide = rule(US_TERM_LOCAL_PORT);
    EXPECT_EQ(g.set(1, narrow_first ? narrow : wide), US_OK);
    EXPECT_EQ(g.set(2, narrow_first ? wide : narrow), US_OK);
    const unsigned n = narrow_first ? 1 : 2, w = 3 - n;
    EXPECT_EQ(g.resolve(traits()), n);
    connection_traits far = traits();
    far.remote = ip_address::v4(172, 16, 0, 1);
    EXPECT_EQ(g.resolve(far), w);
    EXPECT_EQ(g.resolve(traits(81)), 0u) << "the default group";
  }
}

TEST(group_rules, what_is_ambiguous_impossible_or_out_of_range_is_refused_and_changes_nothing) {
  group_rules g;
  ASSERT_EQ(g.set(1, rule(US_TERM_LOCAL_PORT)), US_OK);
  EXPECT_EQ(g.set(2, rule(US_TERM_DSCP)), US_ERR_BAD_STATE)
      << "a connection to port 80 with that DSCP matches both";
  EXPECT_EQ(g.set(2, rule(US_TERM_LOCAL_PORT)), US_ERR_BAD_STATE) << "the same again";
  group_rule other_port = rule(US_TERM_LOCAL_PORT);
  other_port.local_port = 81;
  EXPECT_EQ(g.set(2, other_port), US_OK) << "nothing in common";
  EXPECT_EQ(g.set(1, rule(US_TERM_LOCAL_PORT | US_TERM_VLAN)), US_OK)
      << "a rule may take the place of itself";
  group_rule mixed = rule(US_TERM_LOCAL_PREFIX | US_TERM_REMOTE_PREFIX);
  mixed.remote = ip_address::v6({0xfd77, 0, 0, 0, 0, 0, 0, 1});
  mixed.remote_prefix = 64;
  EXPECT_EQ(g.set(3, mixed), US_ERR_BAD_ADDRESS) << "one end over IPv4, the other over IPv6";
  EXPECT_EQ(g.set(0, rule(US_TERM_LOCAL_PORT)), US_ERR_BAD_LENGTH) << "the default group has no rule";
  EXPECT_EQ(g.set(US_GROUPS, rule(US_TERM_VLAN)), US_ERR_BAD_LENGTH);
  EXPECT_EQ(g.set(3, rule(0)), US_ERR_BAD_LENGTH);
  group_rule wide = rule(US_TERM_LOCAL_PREFIX);
  wide.local_prefix = 129;
  EXPECT_EQ(g.set(3, wide), US_ERR_BAD_LENGTH);
  group_rule tag = rule(US_TERM_VLAN);
  tag.vlan = 4095;
  EXPECT_EQ(g.set(3, tag), US_ERR_BAD_LENGTH);
  EXPECT_FALSE(g.used(3));
}

}  // namespace
}  // namespace understudy
