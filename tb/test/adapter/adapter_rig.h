// One adapter in its slot: host memory and a port above it, a cable and a station behind it, and a driver
// reduced to what a test says.
#pragma once
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <deque>
#include <vector>

#include "model/abi/crc32c.h"
#include "model/adapter/adapter.h"
#include "model/net/eth_link.h"
#include "model/pcie/pcie_port.h"
#include "model/pcie/protocol_checker.h"
#include "tb/test/net/station.h"

namespace understudy::tb {

constexpr mac_address adapter_mac{0x02, 0, 0, 0, 0, 0x01};
constexpr mac_address peer_mac{0x02, 0, 0, 0, 0, 0x09};
constexpr ip_address adapter_ip = ip_address::v4(10, 0, 0, 1);
constexpr ip_address peer_ip = ip_address::v4(10, 0, 0, 9);

// Every event of one kind that a test wants to look at.
struct event_record : event_observer {
  std::vector<event> all;  // without data
  void on_event(const event& e) override {
    all.push_back(e);
    all.back().data = nullptr;
  }
  std::vector<event> of(event_kind k) const {
    std::vector<event> some;
    for (const event& e : all)
      if (e.kind == k) some.push_back(e);
    return some;
  }
};

inline eth_link_config cable() {
  eth_link_config c;
  c.unit_a = 0;
  return c;
}

struct adapter_rig {
  explicit adapter_rig(const adapter_config& config = {}, std::uint32_t idt_entries = 64,
                       std::uint32_t odt_entries = 64, const pcie_config& bus = {})
      : port("port", bus, memory, log, 0),
        dev("adapter", config, log, 0),
        checker("checker"),
        link("link", cable(), log, 1),
        wire("wire"),
        idt_entries(idt_entries),
        odt_entries(odt_entries) {
    log.subscribe(&events);
    dev.dma.socket.bind(checker.target);
    checker.initiator.bind(port.dma);
    port.mmio.bind(dev.mmio);
    port.cfg.bind(dev.cfg);
    dev.ethernet.bind(link.a);
    wire.eth.bind(link.b);
    port.on_link([this](unsigned generation, unsigned lanes) { dev.link_trained(generation, lanes); });
    port.on_link_error([this](std::uint32_t bit) { return dev.link_error(bit); });
    port.on_link_down([this] { dev.link_went_down(); });
    dev.on_error([this](error_message m) { port.send_error_message(m); });
    port.on_interrupt([this](std::uint64_t, std::uint32_t vector) { interrupts.push_back(vector); });
    idt = memory.allocate(idt_entries * US_ENTRY_BYTES, 4096);
    odt = memory.allocate(odt_entries * US_ENTRY_BYTES, 4096);
    heartbeat = memory.allocate(64, 64);
    // With an IOMMU the adapter reaches these three and what a test maps.
    port.translation().map(idt.iova, idt_entries * US_ENTRY_BYTES);
    port.translation().map(odt.iova, odt_entries * US_ENTRY_BYTES);
    port.translation().map(heartbeat.iova, 64);
  }

  void run(picos t) { sc_core::sc_start(to_sc(t)); }
  // Run until `condition` holds, looked at every `step`. False: not within 100 ms.
  template <typename F>
  bool run_until(F condition, picos step) {
    for (const picos end = now_ps() + 100_ms; now_ps() < end; run(step))
      if (condition()) return true;
    return condition();
  }

  // ---- registers
  void write(std::uint32_t offset, std::uint32_t value) {
    port.mmio_write(offset, value);
    run(2_us);
  }
  std::uint32_t read(std::uint32_t offset) {
    return answer([&](pcie_port::host_done d) { port.mmio_read(offset, std::move(d)); });
  }
  void cfg_write(std::uint32_t offset, std::uint32_t value) {
    answer([&](pcie_port::host_done d) { port.cfg_write(offset, value, 0, std::move(d)); });
  }
  std::uint32_t cfg_read(std::uint32_t offset) {
    return answer([&](pcie_port::host_done d) { port.cfg_read(offset, std::move(d)); });
  }

  // As a driver would: bus master, MSI-X, tables, ENABLE. `control`: further bits, in a write of their own.
  void bring_up(std::uint32_t control = US_CONTROL_RX_ENABLE) {
    cfg_write(config_space::command, 0x2 | config_space::bus_master_bit);
    for (std::uint32_t v = 0; v < US_MSIX_VECTORS; ++v) {
      write(US_MSIX_TABLE + 16 * v, static_cast<std::uint32_t>(pcie_port::msi_base));
      write(US_MSIX_TABLE + 16 * v + 8, v);
      write(US_MSIX_TABLE + 16 * v + 12, 0);
    }
    cfg_write(config_space::msix_capability, 1u << 31);
    const auto set = [this](std::uint32_t lo, std::uint64_t v) {
      write(lo, static_cast<std::uint32_t>(v));
      write(lo + 4, static_cast<std::uint32_t>(v >> 32));
    };
    set(US_REG_IDT_BASE_LO, idt.iova);
    write(US_REG_IDT_SIZE, idt_entries);
    set(US_REG_ODT_BASE_LO, odt.iova);
    write(US_REG_ODT_SIZE, odt_entries);
    set(US_REG_HEARTBEAT_LO, heartbeat.iova);
    write(US_REG_EPOCH, 7);
    write(US_REG_CONTROL, US_CONTROL_ENABLE);
    write(US_REG_ODT_HEAD, head);
    if (control) write(US_REG_CONTROL, US_CONTROL_ENABLE | control);
  }
  // A driver begins anew, behind a reset: with the tables at their first entry.
  void start_over(std::uint32_t control = US_CONTROL_RX_ENABLE) {
    std::fill_n(odt.cpu, odt_entries * US_ENTRY_BYTES, std::uint8_t{0});
    tail = head = 0;
    bring_up(control);
  }

  // ---- descriptors
  // Write `e` with its index and checksum as the next of the input table; ring() makes it visible.
  void post(us_idt_entry e) {
    e.index16 = static_cast<std::uint16_t>(tail);
    e.crc = crc32c(&e, offsetof(us_idt_entry, crc));
    post_as_it_is(e);
  }
  void post_as_it_is(const us_idt_entry& e) {
    std::memcpy(idt.cpu + (tail & (idt_entries - 1)) * US_ENTRY_BYTES, &e, sizeof e);
    ++tail;
  }
  void ring(picos wait = 20_us) {
    port.mmio_write(US_REG_IDT_TAIL, tail);
    run(wait);
  }
  us_idt_entry address() const {
    us_idt_entry e{};
    e.opcode = US_OP_SET_ADDRESS;
    e.cid = US_NO_CID;
    std::copy(adapter_mac.begin(), adapter_mac.end(), e.u.set_address.mac);
    std::copy(adapter_ip.bytes.begin(), adapter_ip.bytes.end(), e.u.set_address.ip);
    e.u.set_address.prefix_len = 120;
    e.u.set_address.mtu = 1500;
    return e;
  }
  void post_address() { post(address()); }
  void post_listen(std::uint16_t port_number) {
    us_idt_entry e{};
    e.opcode = US_OP_LISTEN;
    e.flags = US_CONN_PROTECTED;
    e.cid = US_NO_CID;
    e.u.listen.port = port_number;
    e.u.listen.backlog = 64;
    post(e);
  }
  // A pool buffer of `kib` KiB; its id.
  std::uint32_t post_pool(std::uint32_t kib = 16) {
    const auto b = memory.allocate(kib * 1024, 4096);
    buffers.push_back(b);
    us_idt_entry e{};
    e.opcode = US_OP_POST_POOL;
    e.cid = US_NO_CID;
    e.u.rx.iova_lo = static_cast<std::uint32_t>(b.iova);
    e.u.rx.iova_hi = static_cast<std::uint32_t>(b.iova >> 32);
    e.u.rx.len = kib * 1024;
    e.u.rx.buf_id = static_cast<std::uint32_t>(buffers.size() - 1);
    post(e);
    return e.u.rx.buf_id;
  }

  // ---- records
  // Every record that is valid by now and was not taken before.
  std::vector<us_record> take_records() {
    std::vector<us_record> all;
    for (;;) {
      us_record r;
      std::memcpy(&r, odt.cpu + (head & (odt_entries - 1)) * US_ENTRY_BYTES, sizeof r);
      if (r.type == US_REC_NONE || r.number != head || r.crc != crc32c(&r, offsetof(us_record, crc)))
        return all;
      all.push_back(r);
      ++head;
    }
  }
  void ring_odt() { write(US_REG_ODT_HEAD, head); }

  // ---- the peer
  frame_ref segment_from_peer(std::uint16_t port_number, std::uint16_t peer_port, seq32 seq, seq32 ack,
                              std::uint8_t flags, std::uint32_t payload = 0) {
    return segment_from(peer_ip, port_number, peer_port, seq, ack, flags, payload);
  }
  frame_ref segment_from(const ip_address& ip, std::uint16_t port_number, std::uint16_t peer_port, seq32 seq,
                         seq32 ack, std::uint8_t flags, std::uint32_t payload = 0) {
    frame_ref f = frame_ref::make(payload, 128);
    for (std::uint32_t i = 0; i < payload; ++i) f.data()[i] = static_cast<std::uint8_t>(seq.raw + i);
    segment s;
    s.tuple = {ip, adapter_ip, peer_port, port_number};
    s.seq = seq;
    s.ack = ack;
    s.flags = flags;
    s.window = 65535;
    if (flags & tcp_syn) s.options.mss = 1460;
    s.payload_length = payload;
    prepend_headers(f, s, peer_mac, adapter_mac, 1);
    return f;
  }
  // What the adapter sent since the last call, as its peer reads it: TCP only.
  std::vector<segment> take_segments() {
    std::vector<segment> all;
    for (; heard < wire.arrivals.size(); ++heard) {
      const parsed_frame p = parse_frame(wire.arrivals[heard].f);
      if (p.kind == frame_class::tcp) all.push_back(p.tcp);
    }
    return all;
  }
  void introduce_peer() {
    wire.send(make_arp_reply(peer_mac, peer_ip, adapter_mac, adapter_ip));
    run(5_us);
  }
  // The handshake of a connection from `peer_port`; its ISS on our side, or nothing.
  bool establish(std::uint16_t port_number, std::uint16_t peer_port, seq32 irs, seq32* iss) {
    take_segments();
    wire.send(segment_from_peer(port_number, peer_port, irs, seq32{0}, tcp_syn));
    run(50_us);
    for (const segment& s : take_segments())
      if ((s.flags & (tcp_syn | tcp_ack)) == (tcp_syn | tcp_ack) && s.tuple.remote_port == port_number &&
          s.ack == irs + 1) {
        *iss = s.seq;
        wire.send(segment_from_peer(port_number, peer_port, irs + 1, s.seq + 1, tcp_ack));
        run(50_us);
        return true;
      }
    return false;
  }

  // Nothing was reported by SystemC or by the model.
  void expect_no_report() const {
    EXPECT_EQ(sc_core::sc_report_handler::get_count(sc_core::SC_WARNING), 0u);
    EXPECT_EQ(sc_core::sc_report_handler::get_count(sc_core::SC_ERROR), 0u);
    EXPECT_EQ(sc_core::sc_report_handler::get_count(sc_core::SC_FATAL), 0u);
  }

  event_log log;
  event_record events;
  host_memory memory;
  pcie_port port;
  adapter dev;
  protocol_checker checker;
  eth_link link;
  test_station wire;
  std::uint32_t idt_entries, odt_entries;
  host_memory::region idt, odt, heartbeat;
  std::vector<host_memory::region> buffers;
  std::vector<std::uint32_t> interrupts;
  std::uint32_t tail = 0;
  std::uint32_t head = 0;
  std::size_t heard = 0;

 private:
  template <typename Start>
  std::uint32_t answer(Start start) {
    bool done = false;
    std::uint32_t value = 0;
    start([&](std::uint32_t v) {
      value = v;
      done = true;
    });
    for (int i = 0; i < 1000 && !done; ++i) run(1_us);
    EXPECT_TRUE(done);
    return value;
  }
};

}  // namespace understudy::tb
