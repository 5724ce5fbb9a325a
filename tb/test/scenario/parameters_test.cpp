#include "tb/scenario/parameters.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "tb/scenario/describe.h"
#include "tb/scenario/load.h"
#include "tb/scenario/quantity.h"
#include "tb/scenario/value.h"

namespace understudy::tb {
namespace {

constexpr std::size_t least_parameters = 60;

bool is_quantity(parameter_type t) {
  return t >= parameter_type::time;
}

TEST(parameters, have_distinct_keys_places_and_a_sentence) {
  std::set<std::string_view> keys;
  std::set<const void*> places;
  scenario s;
  for (const auto& p : parameters()) {
    keys.insert(p.key);
    places.insert(std::visit([](auto* m) -> const void* { return m; }, p.where(s)));
    EXPECT_GT(p.sentence.size(), 15u) << p.key;
    EXPECT_EQ(p.sentence.back(), '.') << p.key;
    EXPECT_EQ(find_parameter(p.key), &p);
  }
  EXPECT_GE(parameters().size(), least_parameters);
  EXPECT_EQ(keys.size(), parameters().size());
  EXPECT_EQ(places.size(), parameters().size());
  EXPECT_EQ(find_parameter("wire.speed"), nullptr);
}

TEST(parameters, keep_the_fixed_names) {
  for (const char* key :
       {"topology.adapters", "workload.capture", "workload.side", "workload.pace", "workload.connections",
        "peer", "wire.rate", "wire.delay", "wire.impair", "adapter.rtl", "adapter.connections",
        "commit.proof", "failover.hold_bytes", "mutants", "monitors", "run.deadline", "seed"})
    EXPECT_NE(find_parameter(key), nullptr) << key;
}

TEST(parameters, have_defaults_inside_their_range) {
  const scenario defaults;
  std::size_t checked = 0;
  for (const auto& p : parameters()) {
    if (p.type == parameter_type::word_list || p.type == parameter_type::path_list ||
        p.type == parameter_type::boolean)
      continue;
    scenario s;
    const std::string text = value_text(p, defaults);
    raw_value v;
    if (p.type == parameter_type::integer)
      v = static_cast<std::int64_t>(std::stoull(text));
    else
      v = text.substr(1, text.size() - 2);
    EXPECT_EQ(assign(p, v, s), "") << p.key;
    EXPECT_EQ(value_text(p, s), text) << p.key;
    ++checked;
  }
  EXPECT_GE(checked, least_parameters - 12);
}

// Both limits are accepted and fit the member: what is stored reads back as what was given.
TEST(parameters, have_limits_that_fit_their_members) {
  std::size_t checked = 0;
  for (const auto& p : parameters()) {
    if (p.least.empty()) continue;
    for (const auto limit : {p.least, p.most}) {
      scenario s;
      raw_value v;
      if (is_quantity(p.type))
        v = std::string(limit);
      else
        v = static_cast<std::int64_t>(std::stoll(std::string(limit)));
      EXPECT_EQ(assign(p, v, s), "") << p.key << " " << limit;
      const std::string text = value_text(p, s);
      scenario again;
      const raw_value back = is_quantity(p.type) ? raw_value(text.substr(1, text.size() - 2)) : v;
      EXPECT_EQ(assign(p, back, again), "") << p.key << " " << text;
      if (p.type == parameter_type::integer)
        EXPECT_EQ(text, limit) << p.key;
      else
        EXPECT_EQ(value_text(p, again), text) << p.key;
      ++checked;
    }
  }
  EXPECT_GE(checked, 80u);
}

TEST(parameters, of_integer_kind_refuse_what_lies_beyond_their_limits) {
  std::size_t checked = 0;
  for (const auto& p : parameters()) {
    if (p.type != parameter_type::integer || p.most.empty() || p.key == "seed") continue;
    scenario s;
    const std::string before = value_text(p, s);
    EXPECT_NE(assign(p, static_cast<std::int64_t>(std::stoll(std::string(p.most)) + 1), s), "") << p.key;
    EXPECT_NE(assign(p, std::int64_t{-1}, s), "") << p.key;
    EXPECT_EQ(value_text(p, s), before) << p.key;
    ++checked;
  }
  EXPECT_GE(checked, 10u);
}

TEST(parameters, written_as_a_file_give_the_defaults_back) {
  const std::string path = ::testing::TempDir() + "all_defaults.toml";
  const scenario defaults;
  {
    std::ofstream f(path);
    for (const auto& p : parameters()) f << p.key << " = " << value_text(p, defaults) << '\n';
  }
  const scenario s = load_scenario(path);
  EXPECT_TRUE(changed_parameters(s).empty());
  EXPECT_TRUE(s.faults.empty());
}

TEST(parameters, that_differ_from_the_default_are_listed_as_written) {
  scenario s;
  s.wire.delay = 50_us;
  s.mutants = {"no_fence"};
  s.commit.rule = false;
  const auto changed = changed_parameters(s);
  ASSERT_EQ(changed.size(), 3u);
  EXPECT_EQ(changed[0], std::pair(std::string("mutants"), std::string("[\"no_fence\"]")));
  EXPECT_EQ(changed[1], std::pair(std::string("wire.delay"), std::string("\"50 us\"")));
  EXPECT_EQ(changed[2], std::pair(std::string("commit.rule"), std::string("false")));
}

TEST(parameters, are_described_with_type_default_range_and_sentence) {
  const std::string text = describe_parameters();
  const scenario defaults;
  for (const auto& p : parameters()) {
    const std::string head = "* `" + std::string(p.key) + "` (" + type_name(p.type) + "; default `" +
                             value_text(p, defaults) + "`): " + allowed_text(p) + ".\n  " +
                             std::string(p.sentence) + "\n";
    EXPECT_NE(text.find(head), text.npos) << p.key;
  }
  for (const char* key : {"fault.kind", "fault.target", "fault.at", "fault.at_fraction", "fault.at_event"})
    EXPECT_NE(text.find(std::string("* `") + key + "`"), text.npos);
}

TEST(parameters, page_in_docs_is_current) {
  std::ifstream f(US_SOURCE_DIR "/docs/parameters.md");
  std::ostringstream page;
  page << f.rdbuf();
  EXPECT_TRUE(page.str() == describe_parameters()) << "make it new: understudy describe params --out docs";
}

TEST(parameters, nearest_key_is_found_and_a_far_one_is_not) {
  const std::string_view known[] = {"wire.rate", "wire.delay", "run.deadline"};
  EXPECT_EQ(nearest("wire.rat", known), "wire.rate");
  EXPECT_EQ(nearest("wires.delay", known), "wire.delay");
  EXPECT_EQ(nearest("deadline", known), "run.deadline");
  EXPECT_EQ(nearest("completely.different", known), "");
}

TEST(parameters, that_bend_the_rules_are_marked) {
  EXPECT_TRUE(marks_of(scenario{}).empty());
  scenario s;
  s.monitors = "off";
  s.mutants = {"no_block"};
  s.commit.rule = false;
  s.commit.proof = "trusted_delay";
  EXPECT_EQ(marks_of(s).size(), 4u);
}

}  // namespace
}  // namespace understudy::tb
