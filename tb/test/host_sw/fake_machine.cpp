#include "tb/test/host_sw/fake_machine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "host_sw/hal/pci_config.h"
#include "model/abi/crc32c.h"

namespace understudy::tb {
namespace {
constexpr std::uint32_t port_express = 0x40;
}

// ---------------------------------------------------------------- adapter

std::uint32_t fake_adapter::mmio_read(std::uint32_t offset) {
  if (!answers) return host::all_ones;
  switch (offset) {
    case US_REG_ID:
      return id;
    case US_REG_ABI_VERSION:
      return abi;
    case US_REG_FEATURES:
      return features;
    case US_REG_MAX_CONNECTIONS:
      return max_connections;
    case US_REG_STATUS:
      return reg(US_REG_STATUS) | US_STATUS_READY | (receiving() ? 0 : US_STATUS_RX_BLOCKED);
    case US_REG_IDT_HEAD:
      return consumed;
    default:
      return reg(offset);
  }
}

void fake_adapter::mmio_write(std::uint32_t offset, std::uint32_t value) {
  if (!answers) return;
  if (const auto l = lost.find(offset); l != lost.end() && l->second > 0) {
    --l->second;
    return;
  }
  regs[offset] = value;
  if (offset >= US_TX_BLOCK && offset < US_TX_QUEUE(reg(US_REG_TX_QUEUES))) write_tx_register(offset, value);
  if (offset == US_REG_IDT_TAIL) {
    ++doorbells;
    consume();
  }
  if (offset == US_REG_ODT_HEAD) {
    if (before_arming) before_arming();
    armed_ = true;
    if (fires_on_arm && number_next_ - value - 1 < 0x80000000u) interrupt(US_VECTOR_RECORDS);
  }
  if (offset == US_REG_CONTROL && (value & US_CONTROL_ENABLE) && !beat_started_ && reg(US_REG_HEARTBEAT_US)) {
    beat_started_ = true;
    m_.later(reg(US_REG_HEARTBEAT_US) * 1000ULL, [this] { beat(); });
  }
}

void fake_adapter::write_tx_register(std::uint32_t offset, std::uint32_t value) {
  const std::uint32_t queue = (offset - US_TX_BLOCK) / US_TX_BLOCK_BYTES, at = US_TX_QUEUE(queue);
  std::vector<us_idt_entry>& seen_there = tx_seen[queue];
  if (offset == at + US_TX_CONTROL) {
    regs[at + US_TX_STATUS] = value & US_TX_ENABLE ? tx_status : 0;
    regs[at + US_TX_TAIL] = 0;
    seen_there.clear();
  }
  if (offset != at + US_TX_TAIL) return;
  const std::uint64_t base = reg(at + US_TX_BASE_LO) | static_cast<std::uint64_t>(reg(at + US_TX_BASE_HI))
                                                           << 32;
  for (auto i = static_cast<std::uint32_t>(seen_there.size()); i != value; ++i) {
    us_idt_entry e;
    std::memcpy(&e, m_.memory(base + (i & (reg(at + US_TX_SIZE) - 1)) * 64ull, 64), 64);
    if (e.index16 != static_cast<std::uint16_t>(i) || e.crc != crc32c(&e, 60)) ++bad_descriptors;
    seen_there.push_back(e);
  }
}

void fake_adapter::report_raw(unsigned queue, std::uint32_t index, us_status status, bool interrupt) {
  us_record r = blank(US_REC_RAW, US_NO_CID);
  r.u.end.status = status;
  r.u.end.opcode = US_OP_SEND_RAW;
  r.u.end.index = index;
  r.u.end.ring = queue + 1;
  emit(r, interrupt);
}

void fake_adapter::beat() {
  if (beating && answers) {
    us_heartbeat h{};
    h.count = ++beats_;
    h.epoch = static_cast<std::uint16_t>(reg(US_REG_EPOCH));
    h.status = reg(US_REG_STATUS);
    h.idt_tail = reg(US_REG_IDT_TAIL);
    h.odt_head = reg(US_REG_ODT_HEAD);
    for (unsigned q = 0; q < reg(US_REG_TX_QUEUES); ++q) h.tx_tail[q] = reg(US_TX_QUEUE(q) + US_TX_TAIL);
    const std::uint64_t at = reg(US_REG_HEARTBEAT_LO) | static_cast<std::uint64_t>(reg(US_REG_HEARTBEAT_HI))
                                                            << 32;
    std::memcpy(m_.memory(at, sizeof h), &h, sizeof h);
  }
  m_.later(reg(US_REG_HEARTBEAT_US) * 1000ULL, [this] { beat(); });
}

void fake_adapter::consume() {
  if (!consumes) return;
  const std::uint64_t base = reg(US_REG_IDT_BASE_LO) | static_cast<std::uint64_t>(reg(US_REG_IDT_BASE_HI))
                                                           << 32;
  const std::uint32_t before = consumed;
  while (consumed != reg(US_REG_IDT_TAIL) && consumes && answers) {
    us_idt_entry e;
    std::memcpy(&e, m_.memory(base + (consumed & (reg(US_REG_IDT_SIZE) - 1)) * 64ull, 64), 64);
    if (e.index16 != static_cast<std::uint16_t>(consumed) || e.crc != crc32c(&e, 60)) ++bad_descriptors;
    ++consumed;
    seen.push_back(e);
    take(e);
    if (on_descriptor) on_descriptor(e);
  }
  if (credits && consumed != before && answers) emit(blank(US_REC_CREDIT, US_NO_CID));
}

void fake_adapter::take(const us_idt_entry& e) {
  const auto room = [&] {
    return fake_connection::room{e.u.rx.iova_lo | static_cast<std::uint64_t>(e.u.rx.iova_hi) << 32,
                                 e.u.rx.len,
                                 e.u.rx.buf_id,
                                 e.u.rx.base_off,
                                 0,
                                 e.opcode == US_OP_POST_RX && (e.flags & US_RX_DIRECT)};
  };
  switch (e.opcode) {
    case US_OP_POST_POOL:
      pool.push_back(e);
      break;
    case US_OP_RESTORE: {
      fake_connection& c = connections[e.cid];
      c.restore = e;
      std::memcpy(c.peer_ip, e.u.restore.peer_ip, 16);
      c.local_port = e.u.restore.local_port;
      c.peer_port = e.u.restore.peer_port;
      c.iss = seq32{e.u.restore.iss};
      c.rcv_nxt = seq32{e.u.restore.rcv_nxt};
      c.snd_una = c.snd_end = seq32{e.u.restore.snd_una};
      c.edge = e.u.restore.rcv_nxt;
      break;
    }
    case US_OP_POST_RX: {
      fake_connection& c = connections[e.cid];
      const auto at = std::find_if(c.rx.begin(), c.rx.end(), [](const auto& r) { return !r.direct; });
      c.rx.insert(room().direct ? at : c.rx.end(), room());
      c.edge = e.u.rx.edge;
      break;
    }
    case US_OP_SEND: {
      fake_connection& c = connections[e.cid];
      const std::uint8_t* p =
          m_.memory(e.u.send.iova_lo | static_cast<std::uint64_t>(e.u.send.iova_hi) << 32, e.u.send.len);
      for (std::uint32_t i = 0; i < e.u.send.len; ++i) c.sent[e.u.send.seq_end - e.u.send.len + i] = p[i];
      c.snd_end = seq32{e.u.send.seq_end};
      break;
    }
    case US_OP_CLOSE:
      connections[e.cid].closed = true;
      connections[e.cid].snd_end = seq32{e.u.send.seq_end};
      break;
    case US_OP_ABORT:
      connections[e.cid].aborted = true;
      break;
    default:
      break;
  }
}

std::vector<us_idt_entry> fake_adapter::seen_of(us_opcode op) const {
  std::vector<us_idt_entry> r;
  std::copy_if(seen.begin(), seen.end(), std::back_inserter(r),
               [op](const us_idt_entry& e) { return e.opcode == op; });
  return r;
}

us_record fake_adapter::blank(us_record_type type, std::uint32_t cid) const {
  us_record r{};
  r.type = static_cast<std::uint8_t>(type);
  r.cid = cid;
  r.idt_head = consumed;
  const auto it = connections.find(cid);
  if (it != connections.end()) {
    r.rcv_nxt = it->second.rcv_nxt.raw;
    r.snd_una = it->second.snd_una.raw;
    r.rcv_adv = it->second.edge;
  }
  return r;
}

std::uint8_t* fake_adapter::slot(std::uint32_t number) const {
  const std::uint64_t base = reg(US_REG_ODT_BASE_LO) | static_cast<std::uint64_t>(reg(US_REG_ODT_BASE_HI))
                                                           << 32;
  return m_.memory(base + (number & (reg(US_REG_ODT_SIZE) - 1)) * 64ull, 64);
}

std::uint32_t fake_adapter::emit(us_record r, bool with_interrupt) {
  r.number = number_next_;
  if (r.epoch == 0) r.epoch = static_cast<std::uint16_t>(reg(US_REG_EPOCH));
  r.crc = crc32c(&r, 60);
  std::memcpy(slot(number_next_), &r, 64);
  ++number_next_;
  if (with_interrupt && armed_) interrupt(US_VECTOR_RECORDS);
  return r.number;
}

void fake_adapter::interrupt(unsigned vector) {
  if (vector == US_VECTOR_RECORDS) armed_ = false;
  m_.raise(number_, vector);
}

us_record fake_adapter::conn_record(us_record_type type, std::uint32_t cid) {
  fake_connection& c = connections[cid];
  us_record r = blank(type, cid);
  std::memcpy(r.u.conn.peer_ip, c.peer_ip, 16);
  r.u.conn.local_port = c.local_port;
  r.u.conn.peer_port = c.peer_port;
  r.u.conn.conn = US_CONN_PROTECTED | US_CONN_WS;
  r.u.conn.wscale = 0x27;
  r.u.conn.mss = 1460;
  r.snd_wnd = US_NO_BUF;
  return r;
}

void fake_adapter::peer_opens(std::uint32_t cid, std::uint16_t peer_port, std::uint16_t local_port,
                              std::uint32_t iss, std::uint32_t irs, bool complete, bool protect) {
  fake_connection& c = connections[cid] = {};
  const host::endpoint p = v4(peer_ip, peer_port);
  std::memcpy(c.peer_ip, p.ip, 16);
  c.local_port = local_port;
  c.peer_port = peer_port;
  c.iss = c.snd_una = seq32{iss};
  c.snd_end = c.iss + 1;
  c.rcv_nxt = seq32{irs + 1};
  us_record r = conn_record(US_REC_EMBRYO, cid);
  if (!protect) r.u.conn.conn &= static_cast<std::uint8_t>(~US_CONN_PROTECTED);
  c.edge = c.rcv_nxt.raw;
  r.u.conn.group = group;
  const auto first =
      std::find_if(pool.begin(), pool.end(), [this](const us_idt_entry& e) { return e.u.rx.group == group; });
  if (first != pool.end()) {
    const us_idt_entry e = *first;
    pool.erase(first);
    c.rx.push_back({e.u.rx.iova_lo | static_cast<std::uint64_t>(e.u.rx.iova_hi) << 32, e.u.rx.len,
                    e.u.rx.buf_id, 0, 0, false});
    c.edge += e.u.rx.len;
    r.snd_wnd = e.u.rx.buf_id;
    r.u.conn.pool_kib = static_cast<std::uint16_t>(e.u.rx.len / 1024);
  }
  emit(r);
  if (complete) peer_completes(cid);
}

void fake_adapter::peer_completes(std::uint32_t cid) {
  fake_connection& c = connections[cid];
  c.snd_una = c.iss + 1;
  emit(conn_record(US_REC_ESTABLISHED, cid));
}

void fake_adapter::connect_succeeds(const us_idt_entry& e, std::uint32_t cid, std::uint32_t irs) {
  begin_connect(e, cid, irs);
  emit(conn_record(US_REC_ESTABLISHED, cid));
}

void fake_adapter::connect_commits(const us_idt_entry& e, std::uint32_t cid, std::uint32_t irs, bool acked) {
  begin_connect(e, cid, irs);
  if (!acked) connections[cid].snd_una = connections[cid].iss;
  emit(conn_record(US_REC_EMBRYO, cid));
}

void fake_adapter::begin_connect(const us_idt_entry& e, std::uint32_t cid, std::uint32_t irs) {
  fake_connection& c = connections[cid] = {};
  c.connect = e;
  std::memcpy(c.peer_ip, e.u.connect.peer_ip, 16);
  c.local_port = e.u.connect.local_port;
  c.peer_port = e.u.connect.peer_port;
  c.iss = seq32{e.u.connect.iss};
  c.snd_una = c.snd_end = c.iss + 1;
  c.rcv_nxt = seq32{irs + 1};
  c.edge = c.rcv_nxt.raw;
}

void fake_adapter::peer_sends(std::uint32_t cid, const std::string& bytes, bool fin) {
  fake_connection& c = connections[cid];
  std::size_t at = 0;
  do {
    us_record r = blank(US_REC_DATA, cid);
    std::uint32_t n = 0;
    if (at < bytes.size()) {
      if (c.rx.empty()) std::abort();
      fake_connection::room& b = c.rx.front();
      n = std::min(b.len - b.used, static_cast<std::uint32_t>(bytes.size() - at));
      std::memcpy(m_.memory(b.iova + b.used, n), bytes.data() + at, n);
      r.u.data.buf_id = b.buf_id;
      r.u.data.off = b.base_off + b.used;
      r.u.data.len = n;
      b.used += n;
      if (b.used == b.len) {
        r.flags |= US_REC_FLAG_DONE;
        c.rx.pop_front();
      }
    }
    at += n;
    c.rcv_nxt += n;
    if (fin && at == bytes.size()) {
      c.rcv_nxt += 1;
      r.flags |= US_REC_FLAG_FIN;
    }
    r.rcv_nxt = c.rcv_nxt.raw;
    emit(r);
  } while (at < bytes.size());
}

void fake_adapter::peer_acks(std::uint32_t cid, std::uint32_t una) {
  connections[cid].snd_una = seq32{una};
  emit(blank(US_REC_ACKED, cid));
}

void fake_adapter::ends(std::uint32_t cid, us_record_type type, us_status status) {
  us_record r = blank(type, cid);
  r.u.end.status = status;
  connections.erase(cid);
  emit(r);
}

// ---------------------------------------------------------------- machine

fake_machine::fake_machine(unsigned adapters) : port_answers(adapters, true), link_control(adapters, 0) {
  for (unsigned n = 0; n < adapters; ++n) a.emplace_back(*this, n);
}
fake_machine::~fake_machine() = default;

void fake_machine::run_ns(std::uint64_t ns) {
  const std::uint64_t until = now_ + ns;
  for (;;) {
    if (!raised_.empty()) {
      const vector_target t = vectors_[raised_.front()];
      raised_.pop_front();
      if (t.h) t.h(t.context);
      continue;
    }
    auto next = timers_.end();
    for (auto it = timers_.begin(); it != timers_.end(); ++it)
      if (next == timers_.end() || it->second.at < next->second.at) next = it;
    if (next == timers_.end() || next->second.at > until) break;
    now_ = std::max(now_, next->second.at);
    const auto f = std::move(next->second.f);
    timers_.erase(next);
    f();
  }
  now_ = until;
}

std::uint8_t* fake_machine::memory(std::uint64_t at, std::size_t len) {
  auto it = memory_.upper_bound(at);
  if (it == memory_.begin()) std::abort();
  --it;
  const std::uint64_t off = at - it->first;
  if (off + len > it->second->bytes.size()) std::abort();
  return it->second->bytes.data() + off;
}

void fake_machine::raise(unsigned adapter, unsigned vector) {
  raised_.emplace_back(adapter, vector);
}

void fake_machine::later(std::uint64_t ns, std::function<void()> f) {
  timers_[next_timer_++] = {now_ + ns, std::move(f)};
}

std::uint32_t fake_machine::cfg_read32(unsigned n, std::uint32_t offset) {
  if (!a[n].answers || !a[n].pci_answers) return host::all_ones;
  if (offset == host::pci_id) return US_PCI_DEVICE << 16 | US_PCI_VENDOR;
  if (offset == host::pci_command) return a[n].command;
  return 0;
}

void fake_machine::cfg_write32(unsigned n, std::uint32_t offset, std::uint32_t v) {
  if (offset == host::pci_command) acts.push_back("command " + std::to_string(n) + " " + std::to_string(v));
  if (a[n].answers && offset == host::pci_command) a[n].command = v;
}

std::uint32_t fake_machine::port_cfg_read32(unsigned n, std::uint32_t offset) {
  if (!port_answers[n]) return host::all_ones;
  if (offset == host::pci_capabilities) return port_express;
  if (offset == port_express) return host::pci_cap_express;
  if (offset == port_express + host::pci_express_link_control) return link_control[n];
  return 0;
}

void fake_machine::port_cfg_write32(unsigned n, std::uint32_t offset, std::uint32_t v) {
  if (!port_answers[n] || offset != port_express + host::pci_express_link_control) return;
  link_control[n] = v;
  acts.push_back("link " + std::to_string(n) + " " + std::to_string(v));
}

host::dma_region fake_machine::dma_alloc(std::size_t bytes) {
  if (dma_exhausted) return {};
  auto r = std::make_unique<region>();
  r->bytes.resize(bytes);
  const std::uint64_t at = next_iova_;
  next_iova_ += (bytes + 0x1fff) & ~0xfffull;  // an unmapped page between regions
  host::dma_region d{r->bytes.data(), at, bytes};
  memory_[at] = std::move(r);
  return d;
}

host::hal::msi_target fake_machine::irq_attach(unsigned n, unsigned vector, handler h, void* context) {
  vectors_[{n, vector}] = {h, context};
  return {0xfee00000ull + n * 16, vector};
}

std::uint64_t fake_machine::timer_start(std::uint64_t ns, handler h, void* context) {
  timers_[next_timer_] = {now_ + ns, [h, context] { h(context); }};
  return next_timer_++;
}

host::endpoint v4(std::uint32_t ip, std::uint16_t port) {
  host::endpoint e;
  e.ip[10] = e.ip[11] = 0xff;
  for (unsigned i = 0; i < 4; ++i) e.ip[12 + i] = static_cast<std::uint8_t>(ip >> (24 - 8 * i));
  e.port = port;
  return e;
}

host::driver_config small_config() {
  host::driver_config c;
  c.idt_entries = 64;
  c.odt_entries = 32;
  c.pool_buffers = 4;
  c.buffer_bytes = 1024;
  c.receive_buffer = 4096;
  c.send_buffer = 4096;
  host::local_address a;
  const host::endpoint e = v4(local_ip, 0);
  std::memcpy(a.ip, e.ip, 16);
  a.mac[0] = 2;
  c.addresses.push_back(a);
  return c;
}

}  // namespace understudy::tb
