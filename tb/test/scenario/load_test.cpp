#include "tb/scenario/load.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tb/scenario/parameters.h"

namespace understudy::tb {
namespace {

namespace fs = std::filesystem;

// Every test in a folder of its own, which is the working directory meanwhile: messages then name short
// paths.
class load : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / ("load_" + std::string(info->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::current_path(folder_);
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  // The one line of the error; "none" if there was none.
  static std::string error_of_file(const std::string& text, const std::vector<std::string>& sets = {}) {
    write("s.toml", text);
    try {
      load_scenario("s.toml", sets, {[](const std::string& t) {
                      return t == "rain" ? std::string("\"rain\" is unknown, allowed: loss P")
                                         : std::string();
                    }});
    } catch (const scenario_error& e) {
      return e.what();
    }
    return "none";
  }
  static std::string error_of_set(const std::string& set) { return error_of_file("", {set}); }

 private:
  fs::path before_, folder_;
};

struct wrong {
  const char* text;
  const char* error;
};

TEST_F(load, names_line_key_fault_and_what_is_allowed) {
  const wrong cases[] = {
      {"[wire]\nrat = \"10 Gb/s\"\n", "s.toml:2: wire.rat: unknown key, nearest allowed: wire.rate"},
      {"zzzzzz = 1\n", "s.toml:1: zzzzzz: unknown key, allowed: what `understudy describe params` lists"},
      {"[zzzzzz]\na = 1\n",
       "s.toml:1: zzzzzz: unknown key, allowed: what `understudy describe params` lists"},
      {"\n\ndeadline = \"1 s\"\n", "s.toml:3: deadline: unknown key, nearest allowed: run.deadline"},
      {"seed = \"1\"\n",
       "s.toml:1: seed: \"1\" has the wrong type, allowed: an integer from 0 to 9223372036854775807"},
      {"seed = -1\n",
       "s.toml:1: seed: -1 is out of range, allowed: an integer from 0 to 9223372036854775807"},
      {"seed = 1.5\n",
       "s.toml:1: seed: 1.5 has the wrong type, allowed: an integer from 0 to 9223372036854775807"},
      {"[topology]\nadapters = 0\n",
       "s.toml:2: topology.adapters: 0 is out of range, allowed: an integer from 1 to 16"},
      {"[topology]\nadapters = 17\n",
       "s.toml:2: topology.adapters: 17 is out of range, allowed: an integer from 1 to 16"},
      {"topology = 3\n", "s.toml:1: topology: unknown key, allowed: what `understudy describe params` lists"},
      {"peer = \"lwpi\"\n",
       "s.toml:1: peer: \"lwpi\" is unknown (nearest: \"lwip\"), allowed: \"lwip\", \"twin\", \"responder\""},
      {"peer = 5\n", "s.toml:1: peer: 5 has the wrong type, allowed: \"lwip\", \"twin\", \"responder\""},
      {"[peer]\na = 1\n",
       "s.toml:1: peer: a table has the wrong type, allowed: \"lwip\", \"twin\", \"responder\""},
      {"peer = 1979-05-27\n",
       "s.toml:1: peer: a date or time has the wrong type, allowed: \"lwip\", \"twin\", \"responder\""},
      {"wire.rate = \"10 Gbps\"\n",
       "s.toml:1: wire.rate: \"10 Gbps\" has an unknown unit, allowed: \"1 Mb/s\" to \"1.6 Tb/s\" (units "
       "b/s, kb/s, Mb/s, Gb/s, "
       "Tb/s)"},
      {"wire.rate = 10\n",
       "s.toml:1: wire.rate: \"10\" has no unit, allowed: \"1 Mb/s\" to \"1.6 Tb/s\" (units b/s, kb/s, Mb/s, "
       "Gb/s, Tb/s)"},
      {"wire.rate = true\n",
       "s.toml:1: wire.rate: true has the wrong type, allowed: \"1 Mb/s\" to \"1.6 Tb/s\" (units b/s, kb/s, "
       "Mb/s, Gb/s, Tb/s)"},
      {"wire.rate = \"9 Tb/s\"\n",
       "s.toml:1: wire.rate: \"9 Tb/s\" is out of range, allowed: \"1 Mb/s\" to \"1.6 Tb/s\" (units b/s, "
       "kb/s, Mb/s, Gb/s, "
       "Tb/s)"},
      {"run.deadline = \"soon\"\n",
       "s.toml:1: run.deadline: \"soon\" is no number with a unit, allowed: \"1 us\" to \"100000 s\" (units "
       "ps, ns, us, ms, s)"},
      {"adapter.clock = \"9 GHz\"\n",
       "s.toml:1: adapter.clock: \"9 GHz\" is out of range, allowed: \"1 MHz\" to \"4 GHz\" (units Hz, kHz, "
       "MHz, GHz, ps, ns, us)"},
      {"failover.hold_bytes = -1\n",
       "s.toml:1: failover.hold_bytes: \"-1\" is no number with a unit, allowed: \"0 B\" to \"1 GiB\" (units "
       "B, KiB, MiB, GiB)"},
      {"pcie.generation = 6\n",
       "s.toml:1: pcie.generation: 6 is out of range, allowed: an integer from 1 to 5"},
      {"pcie.generation = 0\n",
       "s.toml:1: pcie.generation: 0 is out of range, allowed: an integer from 1 to 5"},
      {"pcie.lanes = 3\n", "s.toml:1: pcie.lanes: 3 is out of range, allowed: 1, 2, 4, 8, 12, 16, 32"},
      {"adapter.nagle = 1\n", "s.toml:1: adapter.nagle: 1 has the wrong type, allowed: true, false"},
      {"adapter.rtl = \"checksum\"\n",
       "s.toml:1: adapter.rtl: \"checksum\" has the wrong type, allowed: a list of \"checksum\", "
       "\"dma_engine\", \"buffer_allocator\", \"record_coalescer\", \"connection_table\""},
      {"adapter.rtl = [\"dma\"]\n",
       "s.toml:1: adapter.rtl: \"dma\" is unknown, allowed: a list of \"checksum\", \"dma_engine\", "
       "\"buffer_allocator\", \"record_coalescer\", \"connection_table\""},
      {"adapter.rtl = [1]\n",
       "s.toml:1: adapter.rtl: a list of other things than strings has the wrong type, allowed: a list of "
       "\"checksum\", \"dma_engine\", \"buffer_allocator\", \"record_coalescer\", \"connection_table\""},
      {"workload.capture = 4\n",
       "s.toml:1: workload.capture: 4 has the wrong type, allowed: a path or a list of paths"},
      {"workload.capture = \"gone.pcap\"\n",
       "s.toml:1: workload.capture: gone.pcap cannot be read, allowed: a pcap or pcapng file"},
      {"workload.pace = \"capture\"\n",
       "s.toml:1: workload.pace: \"capture\" has no meaning here, allowed: with a workload.capture"},
      {"wire.impair = 5\n", "s.toml:1: wire.impair: 5 has the wrong type, allowed: a string"},
      {"wire.impair = \"rain\"\n", "s.toml:1: wire.impair: \"rain\" is unknown, allowed: loss P"},
      {"[topology]\ntwin_connections = 2\n",
       "s.toml:2: topology.twin_connections: 2 of 1 connections to a twin is out of range, allowed: at most "
       "workload.connections"},
      {"[workload]\nconnections = 5000\n",
       "s.toml:2: workload.connections: 5000 connections do not fit, allowed: at most adapter.connections = "
       "4096"},
      {"[adapter]\nrto_max = \"1 s\"\nrto_min = \"2 s\"\n",
       "s.toml:3: adapter.rto_min: adapter.rto_min = 2 s is above adapter.rto_max = 1 s, allowed: not above "
       "it"},
      {"[adapter]\nrtl = [\"checksum\", \"dma_engine\"]\ndma_tags = 256\n",
       "s.toml:3: adapter.dma_tags: 256 are more than rtl/dma_engine.sv has, allowed with dma_engine in "
       "adapter.rtl: at most 64"},
      {"[adapter]\ndma_tags = 768\nrtl = [\"dma_engine\"]\n",
       "s.toml:2: adapter.dma_tags: 768 are more than rtl/dma_engine.sv has, allowed with dma_engine in "
       "adapter.rtl: at most 64"},
      {"[adapter]\ndma_tags = 64\nrtl = [\"dma_engine\"]\n", "none"},
      {"[adapter]\ndma_tags = 768\nrtl = [\"checksum\"]\n", "none"},
      {"[pcie]\niommu_page = \"12 KiB\"\n",
       "s.toml:2: pcie.iommu_page: 12 KiB is no power of two, allowed: 4 KiB, 8 KiB, 16 KiB, ... 1 GiB"},
      {"[pcie]\niommu_page = 4097\n",
       "s.toml:2: pcie.iommu_page: 4097 B is no power of two, allowed: 4 KiB, 8 KiB, 16 KiB, ... 1 GiB"},
      {"[pcie]\niommu_page = \"3 MiB\"\n",
       "s.toml:2: pcie.iommu_page: 3 MiB is no power of two, allowed: 4 KiB, 8 KiB, 16 KiB, ... 1 GiB"},
      {"[pcie]\niommu_page = \"2 KiB\"\n",
       "s.toml:2: pcie.iommu_page: \"2 KiB\" is out of range, allowed: \"4 KiB\" to \"1 GiB\" (units B, KiB, "
       "MiB, GiB)"},
      {"[pcie]\ncore_snoop = \"20 ns\"\n",
       "s.toml:2: pcie.core_snoop: \"20 ns\" has no meaning here, allowed: with a pcie.cache above 0 B"},
      {"[pcie]\ncache = 0\ncache_miss = \"55 ns\"\n",
       "s.toml:3: pcie.cache_miss: \"55 ns\" has no meaning here, allowed: with a pcie.cache above 0 B"},
      {"[pcie]\nremote_node = \"106 ns\"\n",
       "s.toml:2: pcie.remote_node: \"106 ns\" has no meaning here, allowed: with a pcie.cache above 0 B"},
      {"[pcie]\ndevice_cache = \"1 MiB\"\n",
       "s.toml:2: pcie.device_cache: \"1 MiB\" has no meaning here, allowed: with a pcie.cache above 0 B"},
      {"[pcie]\nuntouched_lines = \"cores\"\n",
       "s.toml:2: pcie.untouched_lines: \"cores\" has no meaning here, allowed: with a pcie.cache above 0 B"},
      {"[pcie]\ncache = \"20 MiB\"\ncore_snoop = \"20 ns\"\nremote_node = \"106 ns\"\n", "none"},
      {"[pcie]\ncore_snoop = \"0 ps\"\n", "none"},
      {"[pcie]\niommu_page = \"2 MiB\"\n",
       "s.toml:2: pcie.iommu_page: \"2 MiB\" has no meaning here, allowed: with pcie.iommu = true"},
      {"[pcie]\niommu_entries = 32\n",
       "s.toml:2: pcie.iommu_entries: 32 has no meaning here, allowed: with pcie.iommu = true"},
      {"[pcie]\niommu_walk = \"1 us\"\niommu = false\n",
       "s.toml:2: pcie.iommu_walk: \"1 us\" has no meaning here, allowed: with pcie.iommu = true"},
      {"[pcie]\niommu_walkers = 1\n",
       "s.toml:2: pcie.iommu_walkers: 1 has no meaning here, allowed: with pcie.iommu = true"},
      {"[pcie]\niommu_walk = \"1 us\"\niommu_page = \"2 MiB\"\niommu = true\n", "none"},
      {"[pcie]\nread_jitter_p95 = \"20 ns\"\n",
       "s.toml:2: pcie.read_jitter_p95: pcie.read_jitter_p95 = 20 ns is above pcie.read_jitter_p999 = 0 ps, "
       "allowed: not above it"},
      {"[memory]\nbuffer_bytes = 1500\n",
       "s.toml:2: memory.buffer_bytes: 1500 is no multiple of 1 KiB, allowed: whole KiB"},
      {"[memory]\nreceive_buffer = \"8 KiB\"\n",
       "s.toml:2: memory.receive_buffer: 8 KiB is smaller than one buffer, allowed: at least "
       "memory.buffer_bytes = 16 KiB"},
      {"[failover]\nheartbeat = \"1.5 us\"\n",
       "s.toml:2: failover.heartbeat: 1.5 us is no whole number of microseconds, allowed: whole us"},
      {"[[fault]]\nat = \"5 ms\"\n",
       "s.toml:1: fault.kind: is missing, allowed: \"kill\", \"zombie\", \"wild_record\", \"link_down\", "
       "\"link_flap\", \"link_downgrade\", \"bit_flip\", \"double_bit_flip\", \"unfenceable\", "
       "\"poisoned_write\", \"poisoned_doorbell\""},
      {"[[fault]]\nkind = \"kil\"\nat_event = 1\n",
       "s.toml:2: fault.kind: \"kil\" is unknown, allowed: \"kill\", \"zombie\", \"wild_record\", "
       "\"link_down\", \"link_flap\", \"link_downgrade\", \"bit_flip\", \"double_bit_flip\", "
       "\"unfenceable\", \"poisoned_write\", \"poisoned_doorbell\""},
      {"[[fault]]\nkind = 1\n", "s.toml:2: fault.kind: has the wrong type, allowed: a string"},
      {"[[fault]]\nkind = \"kill\"\n",
       "s.toml:1: fault: no instant is given, allowed: exactly one of at, at_fraction, at_event"},
      {"[[fault]]\nkind = \"kill\"\nat = \"1 ms\"\nat_event = 1\n",
       "s.toml:1: fault: more than one instant is given, allowed: exactly one of at, at_fraction, at_event"},
      {"[[fault]]\nkind = \"kill\"\nat = 5\n",
       "s.toml:3: fault.at: \"5\" has no unit, allowed: a time such as \"5 ms\" (units ps, ns, us, ms, s)"},
      {"[[fault]]\nkind = \"kill\"\nat = true\n",
       "s.toml:3: fault.at: has the wrong type, allowed: a time such as \"5 ms\" (units ps, ns, us, ms, s)"},
      {"[[fault]]\nkind = \"kill\"\nat_fraction = 1.5\n",
       "s.toml:3: fault.at_fraction: 1.5 is out of range, allowed: a number from 0 to 1"},
      {"[[fault]]\nkind = \"kill\"\nat_fraction = nan\n",
       "s.toml:3: fault.at_fraction: nan is out of range, allowed: a number from 0 to 1"},
      {"[[fault]]\nkind = \"kill\"\nat_fraction = \"half\"\n",
       "s.toml:3: fault.at_fraction: has the wrong type, allowed: a number from 0 to 1"},
      {"[[fault]]\nkind = \"kill\"\nat_event = 0\n",
       "s.toml:3: fault.at_event: 0 is out of range, allowed: an integer from 1"},
      {"[[fault]]\nkind = \"kill\"\nat_event = 1.0\n",
       "s.toml:3: fault.at_event: has the wrong type, allowed: an integer from 1"},
      {"[[fault]]\nkind = \"kill\"\nat_fracton = 1.5\n",
       "s.toml:3: fault.at_fracton: unknown key, nearest allowed: fault.at_fraction"},
      {"[[fault]]\nkind = \"kill\"\nquantum = 1\n",
       "s.toml:3: fault.quantum: unknown key, allowed: kind, target, at, at_fraction, at_event"},
      {"[[fault]]\nkind = \"kill\"\ntarget = \"Z\"\nat_event = 1\n",
       "s.toml:3: fault.target: \"Z\" is unknown, allowed: \"active\" or an adapter, \"A\" to \"P\""},
      {"[[fault]]\nkind = \"kill\"\ntarget = \"C\"\nat_event = 1\n",
       "s.toml:1: fault.target: \"C\" does not exist, allowed: \"active\" or one of the 2 of "
       "topology.adapters"},
      {"fault = 1\n", "s.toml:1: fault: has the wrong type, allowed: [[fault]] tables"},
      {"fault = [1]\n", "s.toml:1: fault: has the wrong type, allowed: [[fault]] tables"},
  };
  for (const auto& c : cases) EXPECT_EQ(error_of_file(c.text), c.error) << c.text;
}

TEST_F(load, reads_groups_of_receive_buffers_by_words_or_by_a_table) {
  write("s.toml",
        "[[memory.group]]\nmatch = \"port 80 remote 10.0.0.0/8\"\nbuffers = 16\nsize = \"4 KiB\"\nborrow = "
        "true\n"
        "[[memory.group]]\nmatch = {port = 80}\nwindow = 8\n");
  const scenario s = load_scenario("s.toml");
  ASSERT_EQ(s.memory.groups.size(), 2u);
  EXPECT_EQ(s.memory.groups[0].buffers, 16u);
  EXPECT_EQ(s.memory.groups[0].bytes, 4096u);
  EXPECT_TRUE(s.memory.groups[0].borrow);
  EXPECT_EQ(s.memory.groups[1].match, "port 80");
  EXPECT_EQ(s.memory.groups[1].least, 16u) << "a quarter";
  EXPECT_EQ(s.memory.groups[1].most, 128u) << "twice";
  EXPECT_EQ(load_scenario("", {"memory.group=[{match = \"dscp 46\"}]"}).memory.groups.size(), 1u);
}

TEST_F(load, presets_give_the_limits_of_published_engines_where_nothing_else_is_said) {
  const auto with = [](const std::string& name) { return load_scenario("", {"adapter.preset=" + name}); };
  EXPECT_EQ(with("tonic").adapter.tcp.max_connections, 1024u);
  EXPECT_EQ(with("flextoe").adapter.tcp.max_connections, 16384u);
  EXPECT_EQ(with("f4t").adapter.tcp.max_connections, 65536u);
  const scenario eth = with("eth_toe");
  EXPECT_EQ(eth.adapter.tcp.max_connections, 10000u);
  EXPECT_EQ(eth.memory.receive_buffer, 65536u);
  EXPECT_EQ(eth.memory.send_buffer, 65536u);
  EXPECT_EQ(load_scenario("", {"adapter.connections=7", "adapter.preset=tonic"}).adapter.tcp.max_connections,
            7u);
  EXPECT_EQ(error_of_file("adapter.preset = \"tonic\"\nworkload.connections = 1025\n"),
            "s.toml:2: workload.connections: 1025 connections do not fit, allowed: at most "
            "adapter.connections = 1024");
}

TEST_F(load, group_errors_say_the_line_and_what_is_allowed) {
  const std::string words =
      ", allowed: port N, local PREFIX, remote PREFIX, vlan N, dscp N, process N, set N, priority N, "
      "size_class N";
  const std::string head = "[[memory.group]]\n";
  const struct {
    std::string text, error;
  } cases[] = {
      {head + "buffers = 4\n",
       "s.toml:1: memory.group.match: is missing, allowed: a string such as \"port 80 remote 10.0.0.0/8\""},
      {head + "match = \"colour red\"\n", "s.toml:2: memory.group.match: \"colour\" is unknown" + words},
      {head + "match = \"port 70000\"\n",
       "s.toml:2: memory.group.match: \"70000\" is no value of port" + words},
      {head + "match = \"remote 10.0.0.0/33\"\n",
       "s.toml:2: memory.group.match: \"10.0.0.0/33\" is no value of remote" + words},
      {head + "match = \"port\"\n", "s.toml:2: memory.group.match: \"port\" has no value" + words},
      {head + "match = \"\"\n", "s.toml:2: memory.group.match: nothing is named" + words},
      {head + "match = \"port 80 port 81\"\n", "s.toml:2: memory.group.match: port is given twice" + words},
      {head + "match = 5\n",
       "s.toml:2: memory.group.match: has the wrong type, allowed: a string such as \"port 80 remote "
       "10.0.0.0/8\" or a "
       "table"},
      {head + "match = \"port 80\"\nsize = \"1500 B\"\n",
       "s.toml:3: memory.group.size: 1500 is no multiple of 1 KiB, allowed: whole KiB"},
      {head + "match = \"port 80\"\nsize = \"1 KiB\"\n",
       "s.toml:1: memory.group.size: 1024 holds less than a segment, allowed: at least adapter.mtu = 1500"},
      {head + "match = \"port 80\"\nbuffers = 0\n",
       "s.toml:3: memory.group.buffers: 0 is out of range, allowed: an integer from 1 to 65536"},
      {head + "match = \"port 80\"\nborow = true\n",
       "s.toml:3: memory.group.borow: unknown key, nearest allowed: memory.group.borrow"},
      {head + "match = \"port 80\"\nlow = 9\n",
       "s.toml:1: memory.group.low: 9 and high 0 are out of order, allowed: low to high to buffers = 64"},
      {head + "match = \"port 80\"\nleast = 65\n",
       "s.toml:1: memory.group.least: 65 and most 128 do not enclose buffers = 64, allowed: least to buffers "
       "to most"},
      {head + "match = \"port 80\"\n" + head + "match = \"dscp 46\"\n",
       "s.toml:3: memory.group.match: \"dscp 46\" is ambiguous beside a group before it, allowed: groups of "
       "which one "
       "contains the other, or that have no connection in common"},
      {head + "match = \"local 10.0.0.0/8 remote fd77::/64\"\n",
       "s.toml:1: memory.group.match: \"local 10.0.0.0/8 remote fd77::/64\" matches nothing, allowed: "
       "prefixes of one "
       "family"},
      {"memory.group = 1\n", "s.toml:1: memory.group: has the wrong type, allowed: [[memory.group]] tables"},
      {"memory.send = \"borrowed\"\n",
       "s.toml:1: memory.send: \"borrowed\" is unknown, allowed: \"buffered\", \"zero_copy\""},
  };
  for (const auto& c : cases) EXPECT_EQ(error_of_file(c.text), c.error) << c.text;
}

TEST_F(load, reports_the_first_wrong_line_of_several) {
  EXPECT_EQ(error_of_file("wire.delay = \"5 us\"\nseed = true\nadapter.nagle = 7\n"),
            "s.toml:2: seed: true has the wrong type, allowed: an integer from 0 to 9223372036854775807");
}

TEST_F(load, says_where_the_toml_breaks) {
  for (const char* text : {"[wire\n", "seed = \n", "seed = 1\nseed = 2\n", "peer = \"lwip\n"}) {
    const std::string e = error_of_file(text);
    EXPECT_EQ(e.rfind("s.toml:", 0), 0u) << e;
    EXPECT_NE(e.find(": not TOML: "), e.npos) << e;
    EXPECT_EQ(e.find('\n'), e.npos) << e;
  }
}

TEST_F(load, names_a_file_that_cannot_be_read) {
  const auto error = [](const char* path) {
    try {
      load_scenario(path);
    } catch (const scenario_error& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(error("gone.toml"), "gone.toml: cannot read: No such file or directory");
  EXPECT_EQ(error("."), ".: cannot read: Is a directory");
}

TEST_F(load, set_errors_say_set_in_place_of_file_and_line) {
  std::string of_mutants = "--set: mutants: no_fence is not TOML, allowed: a list of ";
  for (const mutant& m : mutants())
    of_mutants += (&m == &mutants().front() ? "\"" : ", \"") + std::string(m.name) + "\"";
  const wrong cases[] = {
      {"wire.rate", "--set: wire.rate: no value, allowed: KEY=VALUE"},
      {"=5", "--set: \"=5\" has no key, allowed: KEY=VALUE"},
      {"wire.rat=5", "--set: wire.rat: unknown key, nearest allowed: wire.rate"},
      {"topology.adapters=17",
       "--set: topology.adapters: 17 is out of range, allowed: an integer from 1 to 16"},
      {"topology.adapters=two",
       "--set: topology.adapters: two is not TOML, allowed: an integer from 1 to 16"},
      {"topology.adapters=",
       "--set: topology.adapters: an empty value is not TOML, allowed: an integer from 1 to 16"},
      {"topology.adapters=1\nseed=2",
       "--set: topology.adapters: 1 seed=2 is not TOML, allowed: an integer from 1 to 16"},
      {"wire.delay=5 us",
       "--set: wire.delay: 5 us is not TOML, allowed: \"0 ps\" to \"10 s\" (units ps, ns, us, ms, s)"},
      {"wire.delay=\"5 xs\"",
       "--set: wire.delay: \"5 xs\" has an unknown unit, allowed: \"0 ps\" to \"10 s\" (units ps, ns, us, "
       "ms, s)"},
      {"peer=linux", "--set: peer: \"linux\" is unknown, allowed: \"lwip\", \"twin\", \"responder\""},
      {"peer=", "--set: peer: \"\" is unknown, allowed: \"lwip\", \"twin\", \"responder\""},
      {"mutants=no_fence", of_mutants.c_str()},
      {"wire.impair=rain", "--set: wire.impair: \"rain\" is unknown, allowed: loss P"},
      {"fault=[{kind=\"kill\"}]",
       "--set: fault: no instant is given, allowed: exactly one of at, at_fraction, at_event"},
      {"fault=kill",
       "--set: fault: kill is not TOML, allowed: a list such as [{kind = \"kill\", at_fraction = 0.5}]"},
      {"workload.capture=gone.pcap",
       "--set: workload.capture: gone.pcap cannot be read, allowed: a pcap or pcapng file"},
  };
  for (const auto& c : cases) EXPECT_EQ(error_of_set(c.text), c.error) << c.text;
}

TEST_F(load, set_takes_strings_as_they_stand_and_everything_else_as_toml) {
  write("s.toml", "peer = \"twin\"\nwire.impair = \"loss 1%\"\n[[fault]]\nkind = \"kill\"\nat_event = 7\n");
  scenario s = load_scenario("s.toml", {"peer=twin", "wire.impair=delay 5us = odd", "wire.rate=\"25 Gb/s\"",
                                        "mutants=[\"no_fence\", \"no_block\"]", "adapter.nagle=true",
                                        "failover.hold_bytes=0", "topology.adapters=3", "fault=[]"});
  EXPECT_EQ(s.peer, "twin");
  EXPECT_EQ(s.wire.impair, "delay 5us = odd");
  EXPECT_EQ(s.wire.rate, 25'000'000'000u);
  EXPECT_EQ(s.mutants, (std::vector<std::string>{"no_fence", "no_block"}));
  EXPECT_TRUE(s.has_mutant("no_block"));
  EXPECT_FALSE(s.has_mutant("reuse_isn"));
  EXPECT_TRUE(s.adapter.tcp.nagle);
  EXPECT_EQ(s.failover.hold_bytes, 0u);
  EXPECT_EQ(s.topology.adapters, 3u);
  EXPECT_TRUE(s.faults.empty());
  EXPECT_EQ(load_scenario("s.toml", {"wire.impair="}).wire.impair, "");
  EXPECT_EQ(load_scenario("s.toml", {"wire.impair=\"loss 2%\""}).wire.impair, "loss 2%");
  EXPECT_EQ(load_scenario("s.toml", {"wire.impair='loss 3%'"}).wire.impair, "loss 3%");
  EXPECT_EQ(load_scenario("s.toml", {"seed=1", "seed=2"}).seed, 2u);
}

TEST_F(load, reads_every_form_of_a_fault) {
  write("s.toml",
        "[[fault]]\nkind = \"kill\"\nat = \"5 ms\"\n[[fault]]\nkind = \"kill\"\ntarget = \"B\"\nat_fraction "
        "= 0.5\n"
        "[[fault]]\nkind = \"kill\"\nat_event = 12\n[[fault]]\nkind = \"kill\"\nat_fraction = 1\n");
  const scenario s = load_scenario("s.toml");
  ASSERT_EQ(s.faults.size(), 4u);
  EXPECT_EQ(s.faults[0].when, fault_spec::trigger::at_time);
  EXPECT_EQ(s.faults[0].at, 5_ms);
  EXPECT_EQ(s.faults[0].target, "active");
  EXPECT_EQ(s.faults[1].when, fault_spec::trigger::at_fraction);
  EXPECT_EQ(s.faults[1].at_fraction, 0.5);
  EXPECT_EQ(s.faults[1].target, "B");
  EXPECT_EQ(s.faults[2].when, fault_spec::trigger::at_event);
  EXPECT_EQ(s.faults[2].at_event, 12u);
  EXPECT_EQ(s.faults[3].at_fraction, 1.0);
}

TEST_F(load, finds_captures_beside_the_file_and_beside_the_user) {
  fs::create_directories("scenarios");
  write("here.pcap", "x");
  write("scenarios/there.pcap", "x");
  write("scenarios/s.toml", "workload.capture = [\"there.pcap\", \"../here.pcap\"]\n");
  EXPECT_EQ(load_scenario("scenarios/s.toml").workload.capture,
            (std::vector<std::string>{"scenarios/there.pcap", "here.pcap"}));
  EXPECT_EQ(load_scenario("scenarios/s.toml", {"workload.capture=here.pcap"}).workload.capture,
            (std::vector<std::string>{"here.pcap"}));
  EXPECT_EQ(load_scenario("scenarios/s.toml", {"workload.capture=[\"here.pcap\"]"}).workload.capture.size(),
            1u);
  EXPECT_TRUE(load_scenario("scenarios/s.toml", {"workload.capture="}).workload.capture.empty());
}

TEST_F(load, an_empty_file_gives_the_defaults) {
  write("s.toml", "# nothing\n");
  const scenario s = load_scenario("s.toml");
  EXPECT_TRUE(changed_parameters(s).empty());
  EXPECT_EQ(s.path, "s.toml");
}

TEST_F(load, blames_the_key_that_was_given) {
  EXPECT_EQ(error_of_file("workload.connections = 100\n", {"adapter.connections=50"}),
            "s.toml:1: workload.connections: 100 connections do not fit, allowed: at most "
            "adapter.connections = 50");
  EXPECT_EQ(error_of_file("", {"memory.buffer_bytes=\"512 KiB\""}),
            "--set: memory.buffer_bytes: 256 KiB is smaller than one buffer, allowed: at least "
            "memory.buffer_bytes = 512 KiB");
}

TEST_F(load, refuses_what_a_responder_cannot_do) {
  write("x.pcap", "");
  const struct {
    const char* set;
    const char* error;
  } cases[] = {
      {"workload.capture=x.pcap",
       "s.toml:1: peer: \"responder\" only echoes, allowed: without workload.capture and workload.phases"},
      {"workload.phases=8",
       "s.toml:1: peer: \"responder\" only echoes, allowed: without workload.capture and workload.phases"},
      {"workload.direction=up",
       "--set: workload.direction: \"up\" is impossible, allowed: \"both\" with peer = \"responder\", which "
       "echoes"},
      {"wire.impair=loss 1%",
       "--set: wire.impair: a responder sends its SYN only once, allowed: empty, or workload.side = "
       "\"client\""},
  };
  for (const auto& c : cases) EXPECT_EQ(error_of_file("peer = \"responder\"\n", {c.set}), c.error) << c.set;
  EXPECT_EQ(error_of_file("workload.active = 5\n", {"workload.phases=8"}),
            "s.toml:1: workload.active: 5 has no meaning here, allowed: without workload.capture and "
            "workload.phases");
}

TEST(shipped_scenarios, load) {
  std::size_t count = 0;
  for (const auto& e : fs::directory_iterator(US_SOURCE_DIR "/traces/scenarios")) {
    if (e.path().extension() != ".toml") continue;
    EXPECT_NO_THROW(load_scenario(e.path().string())) << e.path();
    ++count;
  }
  EXPECT_GE(count, 3u);
}

}  // namespace
}  // namespace understudy::tb
