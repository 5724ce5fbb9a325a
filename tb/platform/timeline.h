// The run as a timeline for ui.perfetto.dev: a track for each block of each adapter, arrows from doorbell to
// descriptor fetch and from a record's write over its commit and interrupt to the ACK that it lets leave.
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
    std::uint64_t doorbell_flow = 0;  // doorbell rung, descriptors not yet fetched
    std::uint64_t commit_flow = 0;    // record visible, no ACK has left yet
  };
  void slice(const event& e, track t, const std::string& name);
  void arrow(char phase, std::uint64_t id, const event& e, track t);

  std::vector<pending> pending_;
  std::uint64_t next_flow_ = 0;
  std::string text_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
};

}  // namespace understudy::tb
