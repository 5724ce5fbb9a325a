// The captures of traces/captures, judged by tshark.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <tuple>

#include "tb/workload/capture.h"

namespace understudy::tb {
namespace {

struct expectation {
  const char* file;
  std::size_t flows;
  std::uint64_t to_server;
  std::uint64_t to_client;
  std::size_t turns;
};

void PrintTo(const expectation& e, std::ostream* o) {
  *o << e.file;
}

constexpr expectation recorded[] = {
    {"http_connections.pcap", 160, 12960, 693120, 320},
    {"http_download.pcap", 1, 78, 1048822, 2},
    {"http_ipv6.pcap", 4, 4200, 173480, 80},
    {"http_keepalive.pcap", 8, 21200, 150200, 400},
    {"http_lossy.pcap", 2, 196816, 197042, 40},
    {"http_upload.pcap", 1, 524417, 190, 4},
    {"mixed.pcapng", 82, 344546, 962530, 2764},
    {"redis.pcap", 33, 676877, 213835, 4802},
};

std::string path_of(const char* file) {
  return std::string(UNDERSTUDY_CAPTURES) + "/" + file;
}

// Standard output of a command, which must succeed.
std::string output_of(const std::string& command) {
  std::string text;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return text;
  std::array<char, 65536> room;
  while (const std::size_t got = std::fread(room.data(), 1, room.size(), pipe)) text.append(room.data(), got);
  EXPECT_EQ(pclose(pipe), 0) << command << ": is tshark installed?";
  return text;
}

// Bytes by sequence number of each tshark stream and sender, as tshark dissects them; by stream, then by
// "from the server".
using dissected = std::map<std::pair<int, bool>, std::map<std::uint32_t, std::uint8_t>>;

dissected dissect(const std::string& path) {
  std::istringstream lines(
      output_of("tshark -r '" + path +
                "' -Y 'tcp.len > 0' -T fields -e tcp.stream -e tcp.srcport -e tcp.seq_raw -e "
                "tcp.payload -o tcp.desegment_tcp_streams:FALSE 2>/dev/null"));
  dissected r;
  int stream = 0;
  unsigned port = 0;
  std::uint32_t seq = 0;
  std::string hex;
  while (lines >> stream >> port >> seq >> hex) {
    auto& bytes = r[{stream, port == 80 || port == 6379}];
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      bytes.emplace(seq++, static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return r;
}

class recorded_captures : public testing::TestWithParam<expectation> {};

TEST_P(recorded_captures, hold_the_flows_and_bytes_that_their_list_says) {
  const expectation& e = GetParam();
  const capture c = read_capture(path_of(e.file));
  EXPECT_EQ(c.flows.size(), e.flows);
  EXPECT_EQ(c.summary.bytes_to_server, e.to_server);
  EXPECT_EQ(c.summary.bytes_to_client, e.to_client);
  std::size_t turns = 0;
  for (const flow& f : c.flows) {
    turns += f.turns.size();
    std::array<std::uint64_t, 2> said{};
    for (const turn& t : f.turns) {
      EXPECT_EQ(t.offset, said[index_of(t.from)]);
      said[index_of(t.from)] += t.length;
    }
    EXPECT_EQ(said[0], f.streams[0].size());
    EXPECT_EQ(said[1], f.streams[1].size());
    EXPECT_TRUE(f.had_syn && f.had_fin && f.closing.has_first);
    EXPECT_FALSE(f.was_cut || f.had_vlan);
  }
  EXPECT_EQ(turns, e.turns);
}

TEST_P(recorded_captures, agree_with_tshark_byte_for_byte) {
  const std::string path = path_of(GetParam().file);
  const capture c = read_capture(path);
  // The same set of conversations; no capture here wraps its sequence numbers within a flow.
  std::multiset<std::string> ours;
  std::multiset<std::string> theirs;
  for (const flow& f : c.flows)
    for (const byte_stream& s : f.streams)
      if (s.size() > 0) ours.emplace(s.from(0).begin(), s.from(0).end());
  for (const auto& [key, bytes] : dissect(path)) {
    std::string flat;
    flat.reserve(bytes.size());
    for (const auto& [seq, byte] : bytes) flat.push_back(static_cast<char>(byte));
    theirs.insert(std::move(flat));
  }
  EXPECT_GE(theirs.size(), GetParam().flows);
  EXPECT_TRUE(ours == theirs) << ours.size() << " streams here, " << theirs.size() << " in tshark";
}

INSTANTIATE_TEST_SUITE_P(each, recorded_captures, testing::ValuesIn(recorded), [](const auto& i) {
  const std::string file = i.param.file;
  return file.substr(0, file.find('.'));
});

TEST(recorded, the_lossy_capture_really_holds_losses) {
  const std::string hits =
      output_of("tshark -r '" + path_of("http_lossy.pcap") + "' -Y tcp.analysis.flags 2>/dev/null");
  EXPECT_GT(std::count(hits.begin(), hits.end(), '\n'), 20);
}

TEST(recorded, the_mixed_capture_has_64_connections_alive_at_once) {
  const capture c = read_capture(path_of("mixed.pcapng"));
  std::multimap<picos, int> changes;
  for (const flow& f : c.flows) {
    changes.emplace(f.start, +1);
    changes.emplace(f.start + f.turns.back().at, -1);
  }
  int alive = 0;
  int most = 0;
  for (const auto& [at, change] : changes) most = std::max(most, alive += change);
  EXPECT_GE(most, 64);
}

}  // namespace
}  // namespace understudy::tb
