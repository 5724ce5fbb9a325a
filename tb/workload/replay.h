// Replays flows at application level over byte streams: same connections, same turns, same bytes, every byte
// checked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/core/inplace_function.h"
#include "model/core/units.h"
#include "tb/workload/flow.h"
#include "tb/workload/stream.h"

namespace understudy::tb {

enum class flow_role : std::uint8_t { client, server };

// fast: a turn is spoken as soon as it may. capture: moreover not before its time in the capture.
enum class replay_pace : std::uint8_t { fast, capture };

// Simulated time, as the platform provides it.
class clock_if {
 public:
  using callback = inplace_function<void(), 72>;
  virtual ~clock_if() = default;
  virtual picos now() const = 0;
  // Call `f` at instant `t`, later than now; never from inside this call.
  virtual void call_at(picos t, callback f) = 0;
};

class replay_end;

// Hears of progress. Called from inside stream_user calls: must not touch the stream.
class replay_observer {
 public:
  virtual ~replay_observer() = default;
  // `e` has read `bytes` more bytes of direction `d`, at `now`.
  virtual void on_delivered(const replay_end& e, flow_direction d, std::uint64_t bytes, picos now) = 0;
  // `e` reached complete or broken; once.
  virtual void on_finished(const replay_end& e, picos now) = 0;
};

struct replay_options {
  replay_pace pace = replay_pace::fast;
  // Pace capture: the instant that stands for the capture's first packet. A connection is then to be opened
  // at origin + flow.start; its turns are due at origin + flow.start + turn.at.
  picos origin = 0;
  std::uint32_t message = 0;   // bytes of one write, at most; 0: as many as there are
  picos message_interval = 0;  // from one write to the next, at least
  const std::uint32_t* phase =
      nullptr;  // the phase that is open: turns and FINs of later ones wait; null: all are open
};

// One end of one connection that speaks its side of a flow and checks the other side's bytes.
// The flow, clock, observer and stream must outlive it. Nothing is allocated after construction.
class replay_end final : public stream_user {
 public:
  enum class state : std::uint8_t {
    unopened,   // no handshake yet
    replaying,  // turns are left
    closing,    // all said and heard; FIN or EOF outstanding
    complete,   // all said and heard, own FIN sent, EOF received
    broken      // reset, refused, or ended before its last byte: why() says it
  };
  struct counts {
    std::uint64_t expected =
        0;  // bytes that this end should receive = correct + corrupted + lost at the end of a run
    std::uint64_t received = 0;    // bytes read from the stream
    std::uint64_t correct = 0;     // of those, the right byte in the right place
    std::uint64_t corrupted = 0;   // the wrong byte at a place below `expected`
    std::uint64_t duplicated = 0;  // bytes beyond `expected`
    std::uint64_t lost = 0;        // places never reached; judged now, so 0 only when all has come
    std::uint64_t first_wrong = ~std::uint64_t{0};  // offset of the first corrupted byte
  };

  // `connection` is a number for reports. `observer` may be null.
  replay_end(const flow& f, flow_role role, std::uint32_t connection, clock_if& clock,
             const replay_options& options, replay_observer* observer);
  replay_end(const replay_end&) = delete;
  replay_end& operator=(const replay_end&) = delete;

  // The stream to speak over, given before its on_open.
  void attach(stream& s) { stream_ = &s; }

  void on_open() override;
  void on_readable() override;
  void on_writable() override;
  void on_eof() override;
  void on_closed() override;
  void on_error(const char* why) override;

  // The connection broke before it carried anything, and is going to be opened again: forget it.
  void begin_again();
  // A phase was opened: go on.
  void poke() { pump(); }
  // Everything of `phase` and the phases before is said, heard and closed at this end.
  bool settled(std::uint32_t phase) const;

  state now_in() const { return state_; }
  bool complete() const { return state_ == state::complete; }
  bool finished() const { return state_ == state::complete || state_ == state::broken; }
  // The stream said on_closed.
  bool closed() const { return closed_; }
  // Empty unless broken.
  const char* why() const { return why_; }
  counts tally() const;
  std::uint64_t written() const { return written_; }
  // Deliveries to this end; `never` before the first.
  picos first_delivery() const { return first_delivery_; }
  picos last_delivery() const { return last_delivery_; }
  // `never` before on_open.
  picos opened() const { return opened_; }

  const flow& of() const { return flow_; }
  flow_role role() const { return role_; }
  std::uint32_t connection() const { return connection_; }
  flow_direction hears() const { return opposite(out_); }
  // One line, without newline, for a report on stuck connections: what this end waits for.
  std::string describe() const;

 private:
  void pump();
  bool time_has_come(picos due);
  bool speak(const turn& t);
  bool fin_due() const;
  bool is_open(std::uint32_t phase) const { return !options_.phase || phase <= *options_.phase; }
  bool pause_reading();
  void break_off(const char* why);
  void finish(state s);
  void check(std::span<const std::uint8_t> bytes);

  const flow& flow_;
  clock_if& clock_;
  replay_observer* observer_;
  stream* stream_ = nullptr;
  const byte_stream& to_send_;
  const byte_stream& to_hear_;
  replay_options options_;
  flow_role role_;
  flow_direction out_;
  std::uint32_t connection_;
  state state_ = state::unopened;
  bool shut_ = false;
  bool eof_ = false;
  bool closed_ = false;
  picos next_message_ = 0;
  bool timer_set_ = false;
  bool reading_paused_ = false;
  std::size_t paused_at_ = ~std::size_t{0};  // the turn for which reading was paused last
  const char* why_ = "";
  std::size_t turn_ = 0;  // turns before this one are said or heard
  std::uint64_t written_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t corrupted_ = 0;
  std::uint64_t first_wrong_ = ~std::uint64_t{0};
  picos opened_ = never;
  picos first_delivery_ = never;
  picos last_delivery_ = never;
};

// Which flows run as which connections.
class replay_set {
 public:
  // `connections` 0: each flow once. More than there are flows: the flows again from the first, round and
  // round. Fewer: that many, spread evenly over the capture so that the mix is kept. Throws
  // std::invalid_argument if `flows` is empty. All of that `rounds` times, round behind round.
  replay_set(std::vector<flow> flows, std::size_t connections, std::size_t rounds = 1);
  // Connection i of each round runs flows[chosen[i]].
  replay_set(std::vector<flow> flows, const std::vector<std::size_t>& chosen, std::size_t rounds);

  std::size_t size() const { return chosen_.size(); }
  const flow& operator[](std::size_t connection) const { return flows_[chosen_[connection]]; }
  // Index of the connection's flow among the flows given.
  std::size_t flow_of(std::size_t connection) const { return chosen_[connection]; }
  // Payload of all connections, both directions.
  std::uint64_t expected_bytes() const { return expected_; }

 private:
  std::vector<flow> flows_;
  std::vector<std::size_t> chosen_;
  std::uint64_t expected_ = 0;
};

}  // namespace understudy::tb
