// A monitor set fed by hand: events as the model would log them, calls as the driver would make them.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "model/abi/crc32c.h"
#include "model/core/packet.h"
#include "model/pcie/pcie_port.h"
#include "tb/monitors/monitor_set.h"

namespace understudy::tb {

// A driver of which the monitors see two adapters' tables and a pool of buffers.
struct paper_driver : host::any_driver {
  host::driver_counters count;
  std::size_t open = 0, free = 0, total = 0;
  std::uint16_t epoch = 1;
  host::start_result start() override { return {}; }
  host::recovery_state state() const override { return host::recovery_state::active; }
  unsigned active_adapter() const override { return 0; }
  host::driver_error condition() const override { return host::driver_error::none; }
  void add_observer(host::driver_observer*) override {}
  const host::driver_counters& counters() const override { return count; }
  host::ring_facts rings(unsigned adapter) const override {
    const std::uint64_t base = 0x2000'0000 + adapter * 0x100'0000ull;
    host::ring_facts f{base, 16, base + 0x10000, 16, base + 0x20000, epoch, 0, {}};
    f.tx[1] = {base + 0x30000, 16};
    return f;
  }
  std::vector<host::shadow_facts> shadows() const override { return {}; }
  std::size_t connections() const override { return open; }
  std::size_t buffers_free() const override { return free; }
  std::size_t buffers_total() const override { return total; }
  std::vector<group_facts> all_groups;
  std::vector<group_facts> groups() const override { return all_groups; }
};

constexpr ip_address our_ip = ip_address::v4(10, 0, 0, 1);
constexpr ip_address their_ip = ip_address::v4(10, 0, 0, 2);
constexpr std::uint16_t our_port = 80, their_port = 5000;
constexpr std::uint32_t the_cid = 0x100003;
constexpr std::uint32_t irs = 1000, iss = 5000;

struct watch_rig {
  event_log log;
  host_memory memory{1 << 24};
  paper_driver driver;
  monitor_set watch{log, driver, memory, 2, {our_ip}};
  picos now = 1_ms;
  std::uint32_t numbers[2] = {};

  void emit(event_kind k, unsigned unit, std::uint64_t a = 0, std::uint64_t b = 0, const void* data = nullptr,
            std::uint32_t length = 0) {
    event e;
    e.kind = k;
    e.unit = static_cast<std::uint16_t>(unit);
    e.at = now;
    e.a = a;
    e.b = b;
    e.data = static_cast<const std::uint8_t*>(data);
    e.length = length;
    log.emit(e);
    now += 10_ns;
  }

  // ---- the wire
  struct wire {
    std::uint8_t flags = tcp_ack;
    std::uint32_t seq = 0, ack = 0;
    std::uint32_t payload = 0;  // bytes, each the low byte of its sequence number
    std::uint16_t window = 1000;
    std::uint32_t tsval = 0;  // 0: no option
    std::uint8_t first = 0;   // xored onto the first payload byte
  };
  frame_ref frame(bool out, const wire& w) {
    frame_ref f = frame_ref::make(w.payload, 128);
    for (std::uint32_t i = 0; i < w.payload; ++i) f.data()[i] = static_cast<std::uint8_t>(w.seq + i);
    if (w.payload) f.data()[0] ^= w.first;
    segment s;
    s.tuple = out ? four_tuple{our_ip, their_ip, our_port, their_port}
                  : four_tuple{their_ip, our_ip, their_port, our_port};
    s.seq = seq32{w.seq};
    s.ack = seq32{w.ack};
    s.flags = w.flags;
    s.window = w.window;
    s.payload_length = w.payload;
    if (w.tsval) {
      s.options.has_ts = true;
      s.options.tsval = w.tsval;
    }
    prepend_headers(f, s, {}, {}, 0);
    return f;
  }
  void in(const wire& w, unsigned adapter = 0) {
    const frame_ref f = frame(false, w);
    emit(event_kind::frame_in, adapter, f.size(), 0, f.data(), f.size());
  }
  void out(const wire& w, unsigned adapter = 0) {
    const frame_ref f = frame(true, w);
    emit(event_kind::frame_out, adapter, f.size(), 0, f.data(), f.size());
  }

  // ---- the bus
  void visible(std::uint64_t at, const void* data, std::uint32_t length, unsigned adapter = 0) {
    emit(event_kind::write_visible, adapter, at, length, data, length);
  }
  us_record record(us_record_type type, std::uint32_t rcv_nxt, std::uint32_t snd_una = iss + 1) const {
    us_record r{};
    r.type = static_cast<std::uint8_t>(type);
    r.epoch = 1;
    r.cid = the_cid;
    r.rcv_nxt = rcv_nxt;
    r.snd_una = snd_una;
    return r;
  }
  // The record becomes visible in its slot. `number`: another than is due; `broken`: its checksum is wrong.
  void commit(us_record r, unsigned adapter = 0, int skip = 0, bool broken = false) {
    r.number = numbers[adapter] + static_cast<std::uint32_t>(skip);
    numbers[adapter] = r.number + 1;
    r.crc = crc32c(&r, offsetof(us_record, crc)) ^ (broken ? 1u : 0u);
    const host::ring_facts f = driver.rings(adapter);
    const std::uint64_t slot = f.odt_iova + (r.number & (f.odt_entries - 1)) * US_ENTRY_BYTES;
    emit(event_kind::tlp_up, adapter, slot,
         static_cast<std::uint64_t>(tlp_type::memory_write) << 32 | sizeof r);
    visible(slot, &r, sizeof r, adapter);
    if (adapter == 0) lying.push_back(r);
  }
  // The driver takes every record of adapter 0 that lies in the table, and says so.
  std::vector<us_record> lying;
  void driver_catches_up() {
    for (const us_record& r : lying) consume(r);
    lying.clear();
    emit(event_kind::mmio_write, 0, US_REG_ODT_HEAD, numbers[0]);
  }
  // Transmit queue 1 of adapter 0 begins, with 16 entries.
  void open_tx_queue() {
    watch.on_tx_queue(0, 1);
    emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_CONTROL, US_TX_ENABLE);
  }
  // The driver consumes it.
  void consume(const us_record& r, unsigned adapter = 0) { watch.on_record(adapter, r); }

  // ---- the driver
  // Buffer `id` of 4 KiB, posted to the connection or the pool; its address.
  std::uint64_t post_buffer(std::uint32_t id, std::uint32_t edge, unsigned adapter = 0,
                            std::uint32_t cid = the_cid) {
    const auto at = memory.allocate(4096, 4096).iova;
    us_idt_entry d{};
    d.opcode = cid == US_NO_CID ? US_OP_POST_POOL : US_OP_POST_RX;
    d.cid = cid;
    d.u.rx.iova_lo = static_cast<std::uint32_t>(at);
    d.u.rx.iova_hi = static_cast<std::uint32_t>(at >> 32);
    d.u.rx.len = 4096;
    d.u.rx.buf_id = id;
    d.u.rx.edge = edge;
    watch.on_post_buffer(adapter, buf_id{id}, iova{at}, 4096);
    watch.on_descriptor(adapter, d, 0);
    return at;
  }
  // Bytes [begin, begin + length) of the send stream, each the low byte of its number.
  std::uint64_t post_send(std::uint32_t begin, std::uint32_t length) {
    const auto r = memory.allocate(length);
    for (std::uint32_t i = 0; i < length; ++i) r.cpu[i] = static_cast<std::uint8_t>(begin + i);
    watch.on_send_posted(cid{the_cid}, seq32{begin + length}, iova{r.iova}, length);
    return r.iova;
  }
  void restore(std::uint32_t rcv_nxt, std::uint32_t snd_max) {
    us_idt_entry d{};
    d.opcode = US_OP_RESTORE;
    d.cid = the_cid;
    d.u.restore.rcv_nxt = rcv_nxt;
    d.u.restore.snd_max = snd_max;
    watch.on_descriptor(1, d, 0);
  }
  void recovery(unsigned state) { emit(event_kind::recovery_step, 0, state, 1); }

  // A connection that the peer opened, established, with a posted buffer 1 and 1000 send bytes, 2000 bytes of
  // window each way.
  std::uint64_t buffer = 0;
  void open() {
    begin();
    announce();
    post_send(iss + 1, 1000);
  }
  // Up to the end of its handshake, the posted buffer with it.
  void begin() {
    in({tcp_syn, irs, 0, 0, 2000});
    commit(opening_record(US_REC_EMBRYO, iss));
    buffer = post_buffer(1, irs + 1 + 4096);
    out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
    in({tcp_ack, irs + 1, iss + 1, 0, 2000});
  }
  void announce() { commit(opening_record(US_REC_ESTABLISHED, iss + 1)); }
  us_record opening_record(us_record_type type, std::uint32_t snd_una) const {
    us_record r = record(type, irs + 1, snd_una);
    std::copy(their_ip.bytes.begin(), their_ip.bytes.end(), r.u.conn.peer_ip);
    r.u.conn.local_port = our_port;
    r.u.conn.peer_port = their_port;
    r.u.conn.conn = US_CONN_PROTECTED | US_CONN_PASSIVE;
    r.snd_wnd = US_NO_BUF;
    return r;
  }
  void listen(us_commit_policy commit, std::uint32_t cookies_above) {
    us_idt_entry d{};
    d.opcode = US_OP_LISTEN;
    d.flags = US_CONN_PROTECTED;
    d.u.listen.port = our_port;
    d.u.listen.commit = static_cast<std::uint8_t>(commit);
    d.u.listen.cookies_above = cookies_above;
    watch.on_descriptor(0, d, 0);
  }
  // Payload [seq, seq + length) becomes visible in buffer 1 and its record behind it.
  void receive(std::uint32_t seq, std::uint32_t length, std::uint32_t snd_una = iss + 1) {
    place(seq, length);
    commit(data_record(seq, length, snd_una));
  }
  void place(std::uint32_t seq, std::uint32_t length) {
    const std::vector<std::uint8_t> bytes(length, 1);
    visible(buffer + (seq - irs - 1), bytes.data(), length);
  }
  us_record data_record(std::uint32_t seq, std::uint32_t length, std::uint32_t snd_una = iss + 1) const {
    us_record r = record(US_REC_DATA, seq + length, snd_una);
    r.u.data.buf_id = 1;
    r.u.data.off = seq - irs - 1;
    r.u.data.len = length;
    return r;
  }

  // ---- judgement
  monitor_result result(const std::string& id) const {
    for (const monitor_result& m : watch.results())
      if (m.id == id) return m;
    ADD_FAILURE() << "no monitor " << id;
    return {};
  }
  // Exactly the monitors `ids` have fired.
  void expect_fired(const std::vector<std::string>& ids) const {
    std::vector<std::string> fired;
    for (const monitor_result& m : watch.results())
      if (m.violations) fired.push_back(m.id);
    EXPECT_EQ(fired, ids);
  }
  void expect_silent(const std::string& id) const {
    expect_fired({});
    EXPECT_GT(result(id).checked, 0u) << id << " had nothing to judge";
  }
};

}  // namespace understudy::tb
