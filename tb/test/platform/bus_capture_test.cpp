// TLPs and descriptors in a capture, as tshark reads them with the project's dissector.
#include <map>
#include <sstream>

#include "tb/test/platform/tshark.h"

namespace understudy::tb {
namespace {

TEST(bus_capture, shows_every_tlp_descriptor_and_record_to_tshark) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  const program_run r = run_program(scenario_file("hello.toml"), {}, "--captures all");
  ASSERT_EQ(r.status, 0) << r.output;
  const auto up = dissected(r, "understudy_tlp.direction == 0", "-e understudy_tlp.type");
  EXPECT_EQ(up.size(), r.result["pcie"]["tlps_up"].get<std::size_t>());
  EXPECT_EQ(dissected(r, "understudy_tlp.direction == 1", "-e understudy_tlp.type").size(),
            r.result["pcie"]["tlps_down"].get<std::size_t>());
  std::map<std::string, unsigned> kinds;
  for (const std::string& k : up) ++kinds[k];
  EXPECT_GT(kinds["MWr64"], 0u);
  EXPECT_GT(kinds["MRd64"], 0u);
  EXPECT_EQ(dissected(r, "understudy_tlp.interrupt", "-e frame.number").size(), kinds["MWr"]);
  EXPECT_EQ(dissected(r, "understudy_tlp.type contains \"unknown\"", "-e frame.number").size(), 0u);
  EXPECT_GT(dissected(r, "understudy_tlp.direction == 1 && understudy_tlp.type == \"CplD\"",
                      "-e understudy_tlp.byte_count")
                .size(),
            0u);

  const auto records =
      dissected(r, "understudy_descriptor.ring == \"output\" && frame.interface_name == \"descriptors_A\"",
                "-e understudy_descriptor.number");
  ASSERT_GE(records.size(), r.result["host_interface"]["records"].get<std::size_t>());
  for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i], std::to_string(i));
  const auto posted =
      dissected(r, "understudy_descriptor.ring == \"input\"", "-e understudy_descriptor.opcode");
  EXPECT_EQ(posted.size(), r.result["host_interface"]["descriptors"].get<std::size_t>());
  EXPECT_EQ(
      dissected(r, "_ws.malformed && (understudy_tlp || understudy_descriptor)", "-e frame.number").size(),
      0u);
}

// Each completion is there by itself, with the tag of a read that is under way; together they carry what was
// asked for.
void expect_answered(const program_run& run) {
  struct open_read {
    unsigned words = 0, answered = 0, completions = 0;
  };
  std::map<unsigned, open_read> open;
  unsigned reads = 0, split = 0, high_tags = 0;
  double last_time = 0;
  for (const std::string& line : dissected(
           run,
           "frame.interface_name == \"tlp_A\" && (understudy_tlp.type == \"MRd64\" || "
           "(understudy_tlp.direction == 1 && understudy_tlp.type == \"CplD\"))",
           "-e frame.time_epoch -e understudy_tlp.type -e understudy_tlp.tag -e understudy_tlp.words -e "
           "understudy_tlp.byte_count")) {
    std::istringstream in(line);
    double time = 0;
    std::string type;
    unsigned tag = 0, words = 0, left = 0;
    in >> time >> type >> tag >> words;
    EXPECT_GE(time, last_time) << "in the order of time";
    last_time = time;
    if (type == "MRd64") {
      EXPECT_FALSE(open.contains(tag)) << "tag " << tag << " is under way: " << line;
      open[tag] = {words, 0, 0};
      high_tags += tag > 0;
      ++reads;
      continue;
    }
    in >> left;
    ASSERT_TRUE(open.contains(tag)) << line;
    open_read& r = open[tag];
    r.answered += words;
    ++r.completions;
    ASSERT_GE(r.words, r.answered) << line;
    if (r.answered < r.words) continue;
    EXPECT_LE(left, 4 * words) << "the last has nothing behind it: " << line;
    split += r.completions > 1;
    open.erase(tag);
  }
  EXPECT_GT(reads, 100u);
  EXPECT_GT(split, 10u) << "reads that more than one completion answers";
  EXPECT_GT(high_tags, 10u);
  EXPECT_LE(open.size(), 1u) << "what is under way at the end";
}

TEST(bus_capture, shows_each_completion_of_a_read_with_its_tag) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  for (const char* rtl : {"[]", "[\"dma_engine\"]"}) {
    const program_run r =
        run_program(scenario_file("hello.toml"), {std::string("adapter.rtl=") + rtl}, "--captures all");
    ASSERT_EQ(r.status, 0) << r.output;
    expect_answered(r);
    EXPECT_EQ(dissected(r, "understudy_tlp.direction == 1", "-e understudy_tlp.type").size(),
              r.result["pcie"]["tlps_down"].get<std::size_t>());
  }
}

// What the capture shows of a direction is what its wires carried: 8 bytes of framing, sequence number and
// LCRC around each TLP (PCIe 3.6), header and whole DWs.
TEST(bus_capture, shows_the_bytes_that_the_counters_count_within_mps_and_mrrs) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  constexpr unsigned own_header = 4, around = 8, mps_words = 128 / 4, mrrs_words = 256 / 4;
  const program_run r =
      run_program(scenario_file("hello.toml"),
                  {"pcie.mps=128", "pcie.mrrs=256", "adapter.relaxed_ordering=true"}, "--captures all");
  ASSERT_EQ(r.status, 0) << r.output;
  std::uint64_t bytes[2] = {};
  unsigned longest_data = 0, longest_read = 0;
  for (const std::string& line : dissected(r, "understudy_tlp",
                                           "-e understudy_tlp.direction -e frame.len -e understudy_tlp.type "
                                           "-e understudy_tlp.words")) {
    std::istringstream in(line);
    unsigned way = 0, length = 0, words = 0;
    std::string type;
    in >> way >> length >> type >> words;
    ASSERT_LT(way, 2u) << line;
    bytes[way] += length - own_header + around;
    unsigned& longest = type == "MRd64" || type == "MRd" ? longest_read : longest_data;
    longest = std::max(longest, words);
  }
  EXPECT_EQ(bytes[0], r.result["pcie"]["bytes_up"].get<std::uint64_t>());
  EXPECT_EQ(bytes[1], r.result["pcie"]["bytes_down"].get<std::uint64_t>());
  EXPECT_EQ(longest_data, mps_words);
  EXPECT_EQ(longest_read, mrrs_words);
  EXPECT_GT(
      dissected(r, "understudy_tlp.relaxed && understudy_tlp.type == \"MWr64\"", "-e frame.number").size(),
      0u);
  EXPECT_EQ(dissected(r, "understudy_tlp.relaxed && understudy_tlp.interrupt", "-e frame.number").size(), 0u);
  EXPECT_EQ(dissected(r, "understudy_tlp.poisoned", "-e frame.number").size(), 0u);
}

// Fields of 10 and 12 bits in which 0 stands for the most (PCIe 2.2.2, 2.2.9).
TEST(bus_capture, shows_4096_bytes_and_1024_words) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  const program_run r =
      run_program(scenario_file("single_dma.toml"), {"pcie.mps=4096", "pcie.mrrs=4096"}, "--captures all");
  ASSERT_EQ(r.status, 0) << r.output;
  EXPECT_GT(
      dissected(r, "understudy_tlp.type == \"MRd64\" && understudy_tlp.words == 1024", "-e frame.number")
          .size(),
      0u);
  EXPECT_GT(dissected(r, "understudy_tlp.byte_count == 4096", "-e frame.number").size(), 0u);
  EXPECT_EQ(
      dissected(r, "understudy_tlp.type == \"MRd64\" && understudy_tlp.words == 0", "-e frame.number").size(),
      0u);
}

TEST(bus_capture, shows_what_is_poisoned_and_lower_addresses_of_memory_reads_alone) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  const program_run r =
      run_program(scenario_file("hello.toml"), {"pcie.poisoned_reads=5000"}, "--captures all");
  const auto poisoned = r.result["pcie"]["poisoned"].get<std::size_t>();
  ASSERT_GT(poisoned, 0u);
  const auto seen =
      dissected(r, "understudy_tlp.poisoned", "-e understudy_tlp.type -e understudy_tlp.status");
  EXPECT_GE(seen.size(), poisoned);
  for (const std::string& line : seen) EXPECT_EQ(line, "CplD\t0") << "successful, with data";
  // Tags of the host's requests and their completions.
  std::map<std::string, bool> configures;
  unsigned completions = 0;
  for (const std::string& line :
       dissected(r,
                 "(understudy_tlp.direction == 1 && understudy_tlp.type != \"CplD\") || "
                 "(understudy_tlp.direction == 0 && understudy_tlp.lower_address)",
                 "-e understudy_tlp.tag -e understudy_tlp.type -e understudy_tlp.lower_address")) {
    std::istringstream in(line);
    std::string tag, type, lower;
    in >> tag >> type >> lower;
    if (type.starts_with("Cfg")) configures[tag] = true;
    if (type.starts_with("MRd")) configures[tag] = false;
    if (!type.starts_with("Cpl") || !configures[tag]) continue;
    ++completions;
    EXPECT_EQ(std::stoul(lower, nullptr, 16), 0u) << line;
  }
  EXPECT_GT(completions, 5u);
}

TEST(bus_capture, names_the_message_by_which_an_adapter_signals_an_error) {
  if (!tshark_is_installed()) GTEST_SKIP() << "tshark is not installed";
  const program_run sound = run_program(scenario_file("hello.toml"), {}, "--captures all");
  EXPECT_EQ(dissected(sound, "understudy_tlp.message", "-e frame.number").size(), 0u);
  const program_run r = run_program(scenario_file("hello.toml"),
                                    {fault_at_fraction(0.5, "poisoned_doorbell")}, "--captures all");
  ASSERT_EQ(r.status, 0) << r.output;
  const auto messages = dissected(r, "understudy_tlp.type == \"Msg\" && understudy_tlp.direction == 0",
                                  "-e understudy_tlp.message -e understudy_tlp.words -e _ws.col.Info");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_NE(messages[0].find("0x31"), std::string::npos) << messages[0];
  EXPECT_NE(messages[0].find("ERR_NONFATAL"), std::string::npos) << messages[0];
  EXPECT_EQ(dissected(r, "_ws.malformed && understudy_tlp", "-e frame.number").size(), 0u);
}

TEST(bus_capture, does_not_change_the_run) {
  const program_run with = run_program(scenario_file("hello.toml"), {}, "--captures all");
  const program_run without = run_program(scenario_file("hello.toml"), {}, "--captures off");
  EXPECT_EQ(with.hash(), without.hash());
}

}  // namespace
}  // namespace understudy::tb
