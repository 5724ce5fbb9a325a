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

flow make_echo_flow(std::uint64_t rounds, std::uint64_t request, std::uint64_t answer,
                    const std::shared_ptr<const std::vector<std::uint8_t>>& pattern,
                    std::uint32_t connection) {
  flow f;
  std::array<std::uint64_t, 2> said{};
  f.turns.reserve(rounds * 2);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    say(f, said, flow_direction::client_to_server, request);
    say(f, said, flow_direction::server_to_client, answer);
  }
  return finish(std::move(f), said, pattern, connection);
}

}  // namespace understudy::tb
