// memory.group's `match`: the words that say which connections use a group's buffers.
#pragma once
#include <string>
#include <string_view>

#include "model/core/group_rules.h"

namespace understudy::tb {

struct group_match {
  group_rule rule;
  std::string error;  // what is wrong and what is allowed; empty: the rule holds
};

// Pairs of a word and a value in any order, each word once: port N, local PREFIX, remote PREFIX, vlan N, dscp
// N, process N, set N, priority N, size_class N. A prefix is an address with its bits: "10.0.0.0/8",
// "fd77::/64".
group_match parse_group_match(std::string_view text);

}  // namespace understudy::tb
