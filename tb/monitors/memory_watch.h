// Whose each byte of DMA memory is, whether groups of buffers lose any, and whether what an adapter holds
// back arrives. I-DMA-6, I-DMA-7, I-LV-7.
#pragma once
#include <map>
#include <unordered_map>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/core/event_log.h"
#include "model/core/fifo.h"
#include "tb/monitors/monitor.h"
#include "tb/monitors/posted_buffers.h"

namespace understudy::tb {

class memory_watch {
 public:
  // `posted`: kept by the owner. `handover_deadline`: from the instant at which the engine has accepted bytes
  // to their record.
  memory_watch(const host::any_driver& d, const posted_buffers& posted, unsigned adapters,
               picos handover_deadline, const event_history& history);

  void on_event(const event& e);
  void on_record_visible(unsigned adapter, const us_record& r);
  // While no buffer of that name is among the posted ones.
  void on_post_buffer(unsigned adapter, buf_id b, iova at, std::uint32_t length);
  void on_send_posted(cid c, seq32 seq_end, iova at, std::uint32_t length);
  void on_send_freed(cid c, seq32 below);
  void on_connection_end(cid c);
  void on_app_memory(iova at, std::uint64_t length);
  void on_app_memory_gone(iova at);
  void on_app_access(iova at, std::uint32_t length, bool write);
  void on_fenced(unsigned adapter);
  void end_of_run(std::uint64_t events, picos now);

  std::vector<const monitor*> monitors() const { return {&dma6_, &dma7_, &lv7_}; }

 private:
  struct lent_send {
    seq32 end;
    std::uint64_t at;
    std::uint32_t length;
  };
  struct piece {  // accepted by an engine
    std::uint32_t connection;
    seq32 seq;
    picos at;
  };
  struct told {  // by the newest visible record
    seq32 rcv_nxt;
    bool over = false;
  };
  struct pending {
    fifo<piece> accepted;                             // in order of time
    std::unordered_map<std::uint32_t, told> told_of;  // by connection; looked up, never walked
  };
  bool in_app(std::uint64_t at) const;
  const lent_send* lent_to_send(std::uint64_t at, std::uint64_t length) const;
  void judge_handover(unsigned adapter, std::uint64_t event, picos now);

  const host::any_driver& driver_;
  const posted_buffers& posted_;
  const event_history& history_;
  picos deadline_;
  std::map<std::uint64_t, std::uint64_t> app_;      // memory of applications: address -> length
  std::map<std::uint32_t, fifo<lent_send>> sends_;  // cid -> ranges sent from such memory
  std::vector<pending> adapters_;
  monitor dma6_{"I-DMA-6", history_}, dma7_{"I-DMA-7", history_}, lv7_{"I-LV-7", history_};
};

}  // namespace understudy::tb
