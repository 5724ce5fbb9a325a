// A driver without interrupts: one loop reads records, rings doorbells and wakes applications. Its own code
// throughout; of the package it uses the ABI, the HAL and the platform's interfaces.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "host_sw/driver/driver.h"
#include "model/abi/seq32.h"
#include "tb/platform/host_streams.h"

namespace own {

using namespace understudy;

class polling_driver : public host::any_driver {
 public:
  static constexpr std::uint64_t poll_ns = 5'000;

  polling_driver(host::hal& machine, const host::driver_config& config);
  ~polling_driver() override;

  int listen(std::uint16_t port, unsigned backlog, bool failover, tb::host_streams::acceptor accept);

  host::start_result start() override;
  host::recovery_state state() const override { return state_; }
  unsigned active_adapter() const override { return current_; }
  host::driver_error condition() const override { return condition_; }
  void add_observer(host::driver_observer* o) override { observers_.push_back(o); }
  const host::driver_counters& counters() const override { return count_; }
  host::ring_facts rings(unsigned adapter) const override;
  std::vector<host::shadow_facts> shadows() const override;
  std::size_t connections() const override;
  std::size_t buffers_free() const override { return free_buffers_.size(); }
  std::size_t buffers_total() const override { return buffers_.size(); }

 private:
  class connection;
  struct unit {  // an adapter and its tables
    host::dma_region idt, odt, beat;
    std::uint32_t written = 0, rung = 0, consumed = 0;  // input table: entries written, announced, executed
    std::uint32_t next_record = 0, given_back = 0;      // output table
    std::uint16_t epoch = 0;
    std::deque<us_idt_entry> waiting;  // for a slot in the input table
    std::vector<std::uint32_t> pool;   // buffers posted for connections to come
    std::uint32_t last_beat = 0;
    int missed = 0;
    bool alive = true;
  };
  struct listener {
    std::uint16_t port;
    unsigned backlog;
    bool failover;
    tb::host_streams::acceptor accept;
  };

  // ---- adapters
  std::uint32_t read(unsigned a, std::uint32_t reg);
  host::start_result bring_up(unsigned a);
  void clock_and_secret(unsigned a, std::uint32_t ticks_ahead);
  void post(us_idt_entry e) { post_to(current_, e); }
  void post_to(unsigned a, us_idt_entry e);
  void store(unit& u, us_idt_entry e);
  void ring(unsigned a);
  void post_addresses(unsigned a);
  void post_listener(unsigned a, const listener& l);
  void fill_pool(unsigned a);
  std::uint32_t take_buffer();

  // ---- the loop
  void poll_later();
  void poll();
  void drain(unsigned a);
  void apply(unsigned a, const us_record& r);
  void begin(unsigned a, const us_record& r);
  void health();

  // ---- recovery
  void recover();
  bool fence(unsigned a);
  bool load();
  void follow_load();
  void enter(host::recovery_state s);

  host::hal& hal_;
  const host::driver_config config_;
  host::driver_counters count_;
  std::vector<host::driver_observer*> observers_;
  std::deque<unit> units_;
  std::vector<host::dma_region> buffers_;
  std::vector<std::uint32_t> free_buffers_;
  std::vector<listener> listeners_;
  std::vector<std::unique_ptr<connection>> connections_;  // ended ones too: a user may still hold the stream
  std::map<std::uint32_t, connection*> by_cid_;
  std::vector<connection*> ready_;  // have something to tell their users
  unsigned current_ = no_adapter;
  std::uint16_t epoch_ = 1;
  std::uint64_t poll_timer_ = 0;
  std::uint64_t next_health_ns_ = 0;

  host::recovery_state state_ = host::recovery_state::active;
  host::driver_error condition_ = host::driver_error::none;
  unsigned from_ = no_adapter;
  std::vector<unsigned> held_;  // adapters whose switch port is down
  std::uint32_t load_end_ = 0;  // input table's index after the load
  std::uint64_t load_began_ns_ = 0;
};

class polling_streams : public tb::host_streams {
 public:
  explicit polling_streams(polling_driver& d) : driver_(d) {}
  int listen(std::uint16_t port, unsigned backlog, bool failover, acceptor accept) override {
    return driver_.listen(port, backlog, failover, std::move(accept));
  }
  // This driver only listens.
  tb::stream* connect(const ip_address&, std::uint16_t, std::uint16_t, bool, tb::stream_user&) override {
    return nullptr;
  }

 private:
  polling_driver& driver_;
};

}  // namespace own
