#include "tb/workload/flow.h"

#include <algorithm>
#include <utility>

#include "model/core/rng.h"

namespace understudy::tb {
namespace {

// Adds the next `length` bytes of direction `d` as a turn.
void say(flow& f, std::array<std::uint64_t, 2>& said, flow_direction d, std::uint64_t length) {
  if (length == 0) return;
  f.turns.push_back({d, said[index_of(d)], length, 0, 0});
  said[index_of(d)] += length;
}

flow finish(flow f, const std::array<std::uint64_t, 2>& said,
            const std::shared_ptr<const std::vector<std::uint8_t>>& pattern, std::uint32_t connection) {
  // Odd multipliers far apart: neighbours share no stretch of the pattern, nor do the two directions.
  const std::uint64_t first = connection * std::uint64_t{7919};
  f.streams[0] = byte_stream(pattern, first, said[0]);
  f.streams[1] = byte_stream(pattern, first + 3557, said[1]);
  f.had_syn = f.had_fin = true;
  f.closing = {true, flow_direction::client_to_server, f.turns.size()};
  return f;
}

}  // namespace

byte_stream::byte_stream(std::vector<std::uint8_t> bytes)
    : pattern_(std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes))),
      length_(pattern_->size()) {}

byte_stream::byte_stream(std::shared_ptr<const std::vector<std::uint8_t>> pattern, std::uint64_t first,
                         std::uint64_t length)
    : pattern_(std::move(pattern)), first_(first % pattern_->size()), length_(length) {}

std::span<const std::uint8_t> byte_stream::from(std::uint64_t offset) const {
  if (offset >= length_) return {};
  const std::uint64_t place = (first_ + offset) % pattern_->size();
  const std::uint64_t run = std::min(pattern_->size() - place, length_ - offset);
  return std::span(*pattern_).subspan(place, run);
}

bool flow::has_part_in(std::uint32_t phase) const {
  return fin_phase[0] == phase || fin_phase[1] == phase ||
         std::any_of(turns.begin(), turns.end(), [&](const turn& t) { return t.phase == phase; });
}

std::shared_ptr<const std::vector<std::uint8_t>> make_pattern(std::uint64_t seed) {
  constexpr std::size_t prime = 65521;
  rng random(seed, "workload/pattern");
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(prime);
  for (auto& b : *bytes) b = static_cast<std::uint8_t>(random.next() >> 56);
  return bytes;
}

flow make_bulk_flow(std::uint64_t to_server, std::uint64_t to_client, std::uint64_t chunk,
                    const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                    std::uint32_t connection) {
  flow f;
  std::array<std::uint64_t, 2> said{};
  if (to_server == 0 || to_client == 0) {
    say(f, said, flow_direction::client_to_server, to_server);
    say(f, said, flow_direction::server_to_client, to_client);
  }
  while (said[0] < to_server || said[1] < to_client) {
    say(f, said, flow_direction::client_to_server, std::min(chunk, to_server - said[0]));
    say(f, said, flow_direction::server_to_client, std::min(chunk, to_client - said[1]));
  }
  return finish(std::move(f), said, pattern, connection);
}

flow make_mirror_flow(flow_direction speaker, std::uint64_t bytes, std::uint64_t chunk,
                      const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                      std::uint32_t connection) {
  flow f;
  std::array<std::uint64_t, 2> said{};
  for (std::uint64_t left = bytes; left;) {
    const std::uint64_t n = std::min(chunk, left);
    say(f, said, speaker, n);
    say(f, said, opposite(speaker), n);
    left -= n;
  }
  f = finish(std::move(f), said, pattern, connection);
  f.streams[1] = f.streams[0];
  f.closing.first = speaker;
  return f;
}

flow make_idle_flow(flow_direction closer) {
  flow f;
  f.had_syn = f.had_fin = true;
  f.closing = {true, closer, 0};
  return f;
}

flow in_three_phases(flow f) {
  for (turn& t : f.turns) t.phase = 1;
  f.fin_phase = {2, 2};
  return f;
}

flow make_reference_flow(std::uint32_t phases,
                         const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                         std::uint32_t connection) {
  constexpr auto up = flow_direction::client_to_server;
  constexpr auto down = flow_direction::server_to_client;
  constexpr std::uint64_t small = 100, spread = 3000, bulk = 20'000;
  constexpr std::uint64_t beyond_windows =
      80'000;  // more than lwIP's window, or a small receive buffer, takes
  constexpr picos unread = 3_ms;
  enum role : std::uint32_t {
    plain_a,
    late,
    very_late,
    client_ends_first,
    server_ends_first,
    ends_early,
    slow_server,
    slow_client
  };
  const std::uint32_t kind = connection % 8;
  const std::uint32_t last = phases - 1;

  flow f;
  f.had_syn = f.had_fin = true;
  f.open_phase = kind == late ? 2 : kind == very_late ? phases / 2 : 0;
  std::uint32_t up_ends = last;
  std::uint32_t down_ends = last;
  if (kind == client_ends_first) up_ends = phases / 3;
  if (kind == server_ends_first) down_ends = phases / 2;
  if (kind == ends_early) up_ends = down_ends = phases / 4;
  std::array<std::uint64_t, 2> said{0, 0};
  const auto say = [&](flow_direction d, std::uint64_t bytes, std::uint32_t phase, picos read_delay) {
    turn t;
    t.from = d;
    t.offset = said[index_of(d)];
    t.length = bytes;
    t.phase = phase;
    t.read_delay = read_delay;
    said[index_of(d)] += bytes;
    f.turns.push_back(t);
  };
  for (std::uint32_t p = f.open_phase; p <= last; ++p) {
    const std::uint64_t size = small + (p * 37ULL + connection * 911ULL) * 31 % spread;
    const bool is_bulk = p % 8 == kind;
    const bool is_stalled = p % 8 == 3 && p < last;
    if (p <= up_ends)
      say(up,
          kind == slow_server && is_stalled ? beyond_windows
          : is_bulk                         ? bulk
                                            : size,
          p, kind == slow_server && is_stalled ? unread : 0);
    if (p <= down_ends)
      say(down,
          kind == slow_client && is_stalled ? beyond_windows
          : is_bulk                         ? bulk
                                            : size / 2 + 1,
          p, kind == slow_client && is_stalled ? unread : 0);
    if (p == std::min(up_ends, down_ends) && !f.closing.has_first) {
      f.closing.has_first = true;
      f.closing.first = down_ends < up_ends ? down : up;
      f.closing.after_turns = f.turns.size();
    }
  }
  f.fin_phase = {up_ends, down_ends};
  f.streams[index_of(up)] = byte_stream(pattern, connection * 7919ULL, said[index_of(up)]);
  f.streams[index_of(down)] = byte_stream(pattern, connection * 7919ULL + 3967, said[index_of(down)]);
  return f;
}

}  // namespace understudy::tb
