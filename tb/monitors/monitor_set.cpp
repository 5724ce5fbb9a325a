#include "tb/monitors/monitor_set.h"

#include <fmt/format.h>

#include <algorithm>

namespace understudy::tb {

namespace {
constexpr monitor_sentence sentences[] = {
    {"I-RX-1",
     "No ACK leaves before the bytes it covers and their commit record are visible in host memory."},
    {"I-RX-2", "A commit record covers only bytes that are all visible in host memory."},
    {"I-RX-3",
     "An application gets its peer's bytes, each once and in order, across any number of failovers."},
    {"I-RX-4", "A substitute starts at the highest committed byte, never below an ACK that was sent."},
    {"I-RX-5", "The cumulative ACK of a connection never goes back on the wire."},
    {"I-RX-6", "The advertised right edge never shrinks by a scale unit, nor exceeds what the host granted."},
    {"I-RX-7", "A FIN is acknowledged only after its commit."},
    {"I-RX-8", "A connection is announced to the host before any record of its data."},
    {"I-TX-1", "Send bytes are given up only after the peer's ACK of them is recorded in host memory."},
    {"I-TX-2", "Bytes at a sequence number are as the host posted them, every time they are sent."},
    {"I-TX-3",
     "Nothing leaves beyond the send bound that the host can recover; a substitute gets no lower bound."},
    {"I-TX-4", "Nothing but a probe leaves beyond the peer's window."},
    {"I-TX-5", "TSval never goes back in a connection, across adapters too."},
    {"I-TX-6", "A tuple that opens again has another initial sequence number."},
    {"I-DMA-1", "Every DMA hits memory that the driver has posted to that adapter."},
    {"I-DMA-2", "Nothing of an adapter happens after its fence; the host takes no record of an older epoch."},
    {"I-DMA-3", "One adapter sends for a connection; another only after the first is fenced."},
    {"I-DMA-4", "Buffers are conserved: free + posted is all there are, and no send range is left over."},
    {"I-DMA-5", "Bytes of a connection lie in buffers of that connection."},
    {"I-DMA-6",
     "A byte of DMA memory is the application's, the driver's or an adapter's: none is lent twice, and an "
     "application touches only its own."},
    {"I-DMA-7", "In each group of receive buffers, free + posted + filled is all there are."},
    {"I-Q-1", "Records become visible in the order of their numbers, none missing, each intact."},
    {"I-Q-2", "Doorbells move forward; no descriptor beyond the tail is fetched."},
    {"I-Q-3", "An interrupt is seen after the records it announces."},
    {"I-Q-4", "No ring entry is overwritten before it is consumed."},
    {"I-Q-5",
     "The driver refuses a record whose indices or lengths lie outside of what the adapter was given."},
    {"I-LV-1", "Every connection finishes or is reported."},
    {"I-LV-2", "A record in the ring is followed by an interrupt or a poll within a millisecond."},
    {"I-LV-3",
     "A window that the host has opened is told to the peer within 200 ms; a peer whose window is shut is "
     "probed."},
    {"I-LV-4", "A failover ends within 100 ms."},
    {"I-LV-5",
     "No ACK war, no storm of retransmissions: at most 100 segments in 200 ms that nobody asked for and that "
     "say "
     "nothing new."},
    {"I-LV-7",
     "Bytes that an adapter has accepted are handed over within the time that it may hold them back and 10 "
     "ms."},
    {"I-OB-2",
     "An application hears of every abort of its connection, and of no error where there was none."},
};
}  // namespace

std::span<const monitor_sentence> monitor_sentences() {
  return sentences;
}

monitor_set::monitor_set(event_log& log, host::any_driver& driver, host_memory& memory, unsigned adapters,
                         std::vector<ip_address> host_ips, picos probe_deadline, picos handover_deadline)
    : log_(log),
      driver_(driver),
      connections_(memory, posted_, adapters, std::move(host_ips), probe_deadline, history_, segments_),
      memory_(driver, posted_, adapters, handover_deadline, history_),
      rings_(
          driver, posted_, adapters,
          [this](unsigned adapter, const us_record& r, const event& e) {
            connections_.on_record_visible(adapter, r, e);
            memory_.on_record_visible(adapter, r);
          },
          history_) {
  log.subscribe(this);
  driver.add_observer(this);
}

void monitor_set::on_event(const event& e) {
  history_.note(e);
  connections_.on_event(e);
  rings_.on_event(e);
  memory_.on_event(e);
  if (e.kind != event_kind::recovery_step) return;
  using enum host::recovery_state;
  const auto step = static_cast<host::recovery_state>(e.a);
  if (step == fencing && recovery_began_ == never) recovery_began_ = e.at;
  connections_.on_recovery(step != running, static_cast<unsigned>(e.b));
  if (step == blocked) {
    rings_.on_fenced(e.unit);
    memory_.on_fenced(e.unit);
    connections_.on_takeover(e.unit);
  }
  if (step == running && recovery_began_ != never) {
    if (e.at - recovery_began_ > failover_deadline) {
      lv4_.violated(e.number, e.at, fmt::format("the failover took {} ms", (e.at - recovery_began_) / 1_ms));
    } else {
      lv4_.checked();
    }
    recovery_began_ = never;
  }
}

void monitor_set::on_post_buffer(unsigned adapter, buf_id b, iova at, std::uint32_t length) {
  posted_.take_back(b);
  memory_.on_post_buffer(adapter, b, at, length);
  posted_.post(adapter, b, at, length);
}

void monitor_set::on_take_back(buf_id b) {
  posted_.take_back(b);
  connections_.on_take_back(b);
}

void monitor_set::on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length) {
  rings_.on_send_posted(c, seq_end, at, length);
  memory_.on_send_posted(c, seq_end, at, length);
  connections_.on_send_posted(c, seq_end, at, length);
}

void monitor_set::on_send_freed(cid c, seq32 below) {
  connections_.on_send_freed(c, below, log_.count(), now_ps());
  rings_.on_send_freed(c, below);
  memory_.on_send_freed(c, below);
}

void monitor_set::on_record(unsigned adapter, const us_record& r) {
  rings_.on_record(adapter, r, log_, connections_.names_wild(adapter, r));
  if (r.type == US_REC_DATA) posted_.take(buf_id{r.u.data.buf_id}, r.u.data.len);
}

void monitor_set::on_wrong_byte(const std::string& witness) {
  rx3_.violated(log_.count(), now_ps(), witness);
}

void monitor_set::on_connection_end(cid c, int error) {
  const bool given_up = driver_.condition() != host::driver_error::none;
  connections_.on_connection_end(c, error, given_up, log_.count(), now_ps());
  rings_.on_connection_end(c);
  memory_.on_connection_end(c);
}

void monitor_set::on_descriptor(unsigned adapter, const us_idt_entry& d, std::uint32_t index) {
  rings_.on_descriptor(adapter, d, index);
  connections_.on_descriptor(adapter, d, log_.count(), now_ps());
}

void monitor_set::end_of_run(const application_outcome& o) {
  const picos now = std::max(now_ps(), history_.now());
  rings_.end_of_run(log_.count(), now);
  memory_.end_of_run(log_.count(), now);
  if (!o.stopped) connections_.end_of_run(log_.count(), now);
  if (o.delivered) rx3_.checked(o.delivered);
  if (o.wrong) rx3_.violated(log_.count(), now, fmt::format("{} bytes wrong or delivered twice", o.wrong));
  if (o.stopped) return;
  if (o.stuck_ends) {
    lv1_.violated(log_.count(), now,
                  fmt::format("{} of {} ends of connections are stuck", o.stuck_ends, o.ends));
  } else {
    lv1_.checked(o.ends);
  }
  if (recovery_began_ != never)
    lv4_.violated(log_.count(), now,
                  fmt::format("the failover that began at {} us has not ended", recovery_began_ / 1_us));
}

std::vector<monitor_result> monitor_set::results() const {
  std::vector<monitor_result> all{rx3_.result(), lv1_.result(), lv4_.result()};
  for (const monitor* m : connections_.monitors()) all.push_back(m->result());
  for (const monitor* m : rings_.monitors()) all.push_back(m->result());
  for (const monitor* m : memory_.monitors()) all.push_back(m->result());
  std::vector<monitor_result> ordered;
  for (const monitor_sentence& s : sentences) {
    const auto it =
        std::find_if(all.begin(), all.end(), [&](const monitor_result& r) { return r.id == s.id; });
    if (it != all.end()) ordered.push_back(*it);
  }
  return ordered;
}

}  // namespace understudy::tb
