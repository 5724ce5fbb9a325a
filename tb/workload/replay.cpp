#include "tb/workload/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace understudy::tb {
namespace {

const char* text_of(flow_direction d) {
  return d == flow_direction::client_to_server ? "client to server" : "server to client";
}

}  // namespace

replay_end::replay_end(const flow& f, flow_role role, std::uint32_t connection, clock_if& clock,
                       const replay_options& options, replay_observer* observer)
    : flow_(f),
      clock_(clock),
      observer_(observer),
      to_send_(f.stream_of(role == flow_role::client ? flow_direction::client_to_server
                                                     : flow_direction::server_to_client)),
      to_hear_(f.stream_of(role == flow_role::client ? flow_direction::server_to_client
                                                     : flow_direction::client_to_server)),
      options_(options),
      role_(role),
      out_(role == flow_role::client ? flow_direction::client_to_server : flow_direction::server_to_client),
      connection_(connection) {}

void replay_end::on_open() {
  if (state_ != state::unopened) return;
  state_ = state::replaying;
  opened_ = clock_.now();
  pump();
}

void replay_end::begin_again() {
  state_ = state::unopened;
  shut_ = eof_ = closed_ = false;
  why_ = "";
  turn_ = 0;
  written_ = received_ = corrupted_ = 0;
  first_wrong_ = ~std::uint64_t{0};
  opened_ = first_delivery_ = last_delivery_ = never;
}

// Lets the turn that is being heard lie unread for its read_delay, once.
bool replay_end::pause_reading() {
  if (reading_paused_) return true;
  for (std::size_t i = turn_; i < flow_.turns.size(); ++i) {
    const turn& t = flow_.turns[i];
    if (t.from == out_ || received_ >= t.offset + t.length) continue;
    if (t.read_delay == 0 || paused_at_ == i) return false;
    paused_at_ = i;
    reading_paused_ = true;
    clock_.call_at(clock_.now() + t.read_delay, [this] {
      reading_paused_ = false;
      on_readable();
    });
    return true;
  }
  return false;
}

bool replay_end::settled(std::uint32_t phase) const {
  if (finished()) return true;
  if (state_ == state::unopened) return false;
  if (turn_ < flow_.turns.size() && flow_.turns[turn_].phase <= phase) return false;
  const bool said_all = turn_ == flow_.turns.size();
  const auto ends_by = [&](flow_direction d) {
    const bool last_said = said_all || (flow_.closing.has_first && flow_.closing.first == d &&
                                        turn_ >= flow_.closing.after_turns);
    return last_said && flow_.fin_phase[index_of(d)] <= phase;
  };
  return (shut_ || !ends_by(out_)) && (eof_ || !ends_by(hears()));
}

void replay_end::on_readable() {
  if (pause_reading()) return;
  std::array<std::uint8_t, 16384> room;
  const picos now = clock_.now();
  std::uint64_t fresh = 0;
  while (const std::size_t got = stream_->read(room)) {
    check({room.data(), got});
    fresh += got;
  }
  if (fresh == 0) return;
  if (first_delivery_ == never) first_delivery_ = now;
  last_delivery_ = now;
  if (observer_) observer_->on_delivered(*this, hears(), fresh, now);
  pump();
}

void replay_end::check(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto right = to_hear_.from(received_);
    if (right.empty()) {
      received_ += bytes.size();
      return;
    }
    const std::size_t n = std::min(right.size(), bytes.size());
    if (std::memcmp(right.data(), bytes.data(), n) != 0) {
      for (std::size_t i = 0; i < n; ++i) {
        if (right[i] == bytes[i]) continue;
        if (corrupted_++ == 0) first_wrong_ = received_ + i;
      }
    }
    received_ += n;
    bytes = bytes.subspan(n);
  }
}

void replay_end::on_writable() {
  pump();
}

void replay_end::on_eof() {
  eof_ = true;
  if (received_ < to_hear_.size()) break_off("the peer ended its stream before its last byte");
  pump();
}

void replay_end::on_closed() {
  closed_ = true;
  if (!finished()) break_off("closed before both streams were complete");
}

void replay_end::on_error(const char* why) {
  closed_ = true;
  if (!finished()) break_off(why);
}

// Says and hears turns in order as far as that goes now, then ends.
void replay_end::pump() {
  if (state_ == state::unopened || state_ == state::broken) return;
  while (turn_ < flow_.turns.size()) {
    const turn& t = flow_.turns[turn_];
    if (t.from == out_) {
      if (!speak(t)) break;
    } else if (received_ < t.offset + t.length) {
      break;
    }
    ++turn_;
  }
  if (!shut_ && fin_due()) {
    shut_ = true;
    stream_->shutdown_write();
  }
  if (state_ == state::replaying && turn_ == flow_.turns.size()) state_ = state::closing;
  if (state_ == state::closing && shut_ && eof_) finish(state::complete);
}

// False: not yet, and pump() will be called then.
bool replay_end::time_has_come(picos due) {
  if (clock_.now() >= due) return true;
  if (timer_set_) return false;
  timer_set_ = true;
  clock_.call_at(due, [this] {
    timer_set_ = false;
    pump();
  });
  return false;
}

// True when the turn is said to its end.
bool replay_end::speak(const turn& t) {
  const flow_closing& c = flow_.closing;
  if (!is_open(t.phase)) return false;
  if (c.has_first && c.first != out_ && turn_ >= c.after_turns && !eof_) return false;
  if (written_ == t.offset && options_.pace == replay_pace::capture) {
    const picos due = options_.origin + flow_.start + t.at;
    if (!time_has_come(due)) return false;
  }
  const std::uint64_t end = t.offset + t.length;
  while (written_ < end) {
    auto bytes = to_send_.from(written_);
    bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), end - written_));
    if (options_.message_interval && !time_has_come(next_message_)) return false;
    if (options_.message) bytes = bytes.first(std::min<std::size_t>(bytes.size(), options_.message));
    const std::size_t took = stream_->write(bytes);
    if (options_.message_interval) next_message_ = clock_.now() + options_.message_interval;
    written_ += took;
    if (took < bytes.size()) return false;
  }
  return true;
}

bool replay_end::fin_due() const {
  const flow_closing& c = flow_.closing;
  if (!is_open(flow_.fin_phase[index_of(out_)])) return false;
  const bool all_done = turn_ == flow_.turns.size();
  if (!c.has_first) return all_done;
  return c.first == out_ ? turn_ >= c.after_turns : all_done && eof_;
}

void replay_end::break_off(const char* why) {
  why_ = why;
  finish(state::broken);
  // What can still end in order ends in order.
  if (!closed_ && !shut_ && opened_ != never) {
    shut_ = true;
    stream_->shutdown_write();
  }
}

void replay_end::finish(state s) {
  state_ = s;
  if (observer_) observer_->on_finished(*this, clock_.now());
}

replay_end::counts replay_end::tally() const {
  counts r;
  r.expected = to_hear_.size();
  r.received = received_;
  const std::uint64_t in_place = std::min(received_, r.expected);
  r.corrupted = corrupted_;
  r.correct = in_place - corrupted_;
  r.duplicated = received_ - in_place;
  r.lost = r.expected - in_place;
  r.first_wrong = first_wrong_;
  return r;
}

std::string replay_end::describe() const {
  std::string who =
      fmt::format("connection {} ({}", connection_, role_ == flow_role::client ? "client" : "server");
  if (!flow_.client.address.empty())
    who += fmt::format(", recorded from {} port {} to {} port {}", flow_.client.address, flow_.client.port,
                       flow_.server.address, flow_.server.port);
  who += ')';
  const auto of = [](std::uint64_t done, const byte_stream& all, flow_direction d) {
    return fmt::format("{} of {} bytes {}", done, all.size(), text_of(d));
  };
  const std::string done =
      fmt::format("wrote {}, received {}", of(written_, to_send_, out_), of(received_, to_hear_, hears()));
  switch (state_) {
    case state::unopened:
      return fmt::format("{}: waits for its handshake", who);
    case state::complete:
      return fmt::format("{}: complete; {}", who, done);
    case state::broken:
      return fmt::format("{}: broken: {}; {}", who, why_, done);
    case state::closing:
      return fmt::format("{}: waits for {}; {}", who, shut_ ? "the peer's FIN" : "the peer to close first",
                         done);
    case state::replaying:
      break;
  }
  const turn& t = flow_.turns[turn_];
  const char* what = "the peer's bytes";
  if (t.from == out_) what = timer_set_ ? "its time in the capture" : "room to write";
  if (t.from == out_ && written_ == t.offset && flow_.closing.has_first && flow_.closing.first != out_ &&
      turn_ >= flow_.closing.after_turns && !eof_)
    what = "the peer's FIN";
  return fmt::format("{}: turn {} of {} waits for {}; {}", who, turn_ + 1, flow_.turns.size(), what, done);
}

replay_set::replay_set(std::vector<flow> flows, std::size_t connections, std::size_t rounds)
    : flows_(std::move(flows)) {
  if (flows_.empty()) throw std::invalid_argument("a replay needs at least one flow");
  const std::size_t have = flows_.size();
  const std::size_t want = connections == 0 ? have : connections;
  chosen_.reserve(want * rounds);
  for (std::size_t r = 0; r < rounds; ++r)
    for (std::size_t i = 0; i < want; ++i) chosen_.push_back(want < have ? i * have / want : i % have);
  for (std::size_t i : chosen_) expected_ += flows_[i].bytes();
}

replay_set::replay_set(std::vector<flow> flows, const std::vector<std::size_t>& chosen, std::size_t rounds)
    : flows_(std::move(flows)) {
  chosen_.reserve(chosen.size() * rounds);
  for (std::size_t r = 0; r < rounds; ++r) chosen_.insert(chosen_.end(), chosen.begin(), chosen.end());
  for (std::size_t i : chosen_) expected_ += flows_.at(i).bytes();
}

}  // namespace understudy::tb
