// All invariant monitors of a run, fed by the event log and by the driver's observer calls.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/pcie/host_memory.h"
#include "tb/monitors/connection_watch.h"
#include "tb/monitors/memory_watch.h"
#include "tb/monitors/ring_watch.h"

namespace understudy::tb {

struct monitor_sentence {
  std::string_view id;
  std::string_view sentence;
};
// Every monitor with the rule that it holds to, in the order of results().
std::span<const monitor_sentence> monitor_sentences();

// What the applications saw, for the monitors that judge the end of a run.
struct application_outcome {
  std::uint64_t delivered = 0;   // right bytes in their right places
  std::uint64_t wrong = 0;       // corrupted, duplicated
  std::uint64_t ends = 0;        // of connections
  std::uint64_t stuck_ends = 0;  // neither complete nor told of an error
  bool stopped = false;          // the user ended the run: nothing can be said of liveness
};

class monitor_set : public event_observer, public host::driver_observer {
 public:
  // A failover that takes longer than this does not end (I-LV-4): a hundred times what it takes with 64
  // connections.
  static constexpr picos failover_deadline = 100_ms;

  // Judges the host with addresses `host_ips`, whose adapters are units 0 to adapters - 1 of the log.
  // Subscribes itself to both. `probe_deadline`: the longest that a peer with a shut window may hear nothing
  // (I-LV-3). `handover_deadline`: from the acceptance of bytes to their record (I-LV-7).
  monitor_set(event_log& log, host::any_driver& driver, host_memory& memory, unsigned adapters,
              std::vector<ip_address> host_ips, picos probe_deadline = 61_s, picos handover_deadline = 10_ms);

  // An application was given a byte that is not its peer's, or one twice; `witness` says to whom and which.
  void on_wrong_byte(const std::string& witness);
  void end_of_run(const application_outcome& o);
  std::vector<monitor_result> results() const;
  // What it has read of the log's frames, for other observers of the same events.
  segment_reader& segments() { return segments_; }

  void on_event(const event& e) override;
  void on_post_buffer(unsigned adapter, buf_id b, iova at, std::uint32_t length) override;
  void on_take_back(buf_id b) override;
  void on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length) override;
  void on_send_freed(cid c, seq32 below) override;
  void on_record(unsigned adapter, const us_record& r) override;
  void on_connection_end(cid c, int error) override;
  void on_descriptor(unsigned adapter, const us_idt_entry& d, std::uint32_t index) override;
  void on_tx_queue(unsigned adapter, unsigned queue) override { rings_.on_tx_queue(adapter, queue); }
  void on_tx_descriptor(unsigned adapter, unsigned queue, const us_idt_entry& d,
                        std::uint32_t index) override {
    rings_.on_tx_descriptor(adapter, queue, d, index);
  }
  void on_app_memory(iova at, std::uint64_t length) override { memory_.on_app_memory(at, length); }
  void on_app_memory_gone(iova at) override { memory_.on_app_memory_gone(at); }
  void on_app_access(iova at, std::uint32_t length, bool write) override {
    memory_.on_app_access(at, length, write);
  }

 private:
  event_log& log_;
  const host::any_driver& driver_;
  event_history history_;
  segment_reader segments_;
  posted_buffers posted_;
  connection_watch connections_;
  memory_watch memory_;
  ring_watch rings_;
  monitor rx3_{"I-RX-3", history_}, lv1_{"I-LV-1", history_}, lv4_{"I-LV-4", history_};
  picos recovery_began_ = never;
};

}  // namespace understudy::tb
