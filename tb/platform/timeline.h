// The run as a timeline for ui.perfetto.dev: a track for each block of each adapter, and arrows along what
// causes what: doorbell, descriptor fetch, DMA read; DMA write, commit record, ACK; commit record, interrupt.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/core/event_log.h"

namespace understudy::tb {

class timeline : public event_observer {
 public:
  // `adapters` of the main host; other units are named by number.
  explicit timeline(unsigned adapters) : pending_(adapters) {}
  void on_event(const event& e) override;
  // The JSON document (Trace Event Format). Nothing may follow.
  std::string finish();

 private:
  enum track : unsigned { doorbell = 1, descriptor, dma, commit, interrupt, engine, wire, recovery };
  struct pending {
    std::uint64_t doorbell_flow = 0;   // doorbell rung, descriptors not yet fetched
    std::uint64_t fetch_flow = 0;      // descriptors fetched, no payload asked for yet
    std::uint64_t write_flow = 0;      // a write is on the bus, no record visible yet
    std::uint64_t commit_flow = 0;     // record visible, no ACK has left yet
    std::uint64_t interrupt_flow = 0;  // record visible, no interrupt has come yet
  };
  void slice(const event& e, track t, const std::string& name);
  void arrow(char phase, std::uint64_t id, const event& e, track t);

  std::vector<pending> pending_;
  std::uint64_t next_flow_ = 0;
  std::string text_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
};

}  // namespace understudy::tb
