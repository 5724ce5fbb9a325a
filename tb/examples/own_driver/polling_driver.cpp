#include "polling_driver.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "host_sw/hal/pci_config.h"
#include "model/abi/crc32c.h"

namespace own {

namespace {

constexpr std::uint32_t ring_entries = 4096;

us_idt_entry entry(us_opcode opcode, std::uint32_t cid = US_NO_CID) {
  us_idt_entry e{};
  e.opcode = static_cast<std::uint8_t>(opcode);
  e.cid = cid;
  return e;
}

template <typename Body>
void point_at(Body& body, std::uint64_t at, std::uint32_t len) {
  body.iova_lo = static_cast<std::uint32_t>(at);
  body.iova_hi = static_cast<std::uint32_t>(at >> 32);
  body.len = len;
}

}  // namespace

// One connection: its hard state, its bytes, and the stream that its user holds.
class polling_driver::connection : public tb::stream {
 public:
  connection(polling_driver& d, const us_record& r, seq32 first_seq, const listener* l)
      : d_(d),
        id(r.cid),
        iss(first_seq),
        una(first_seq),
        posted(first_seq + 1),
        rcv(r.rcv_nxt),
        edge(r.rcv_nxt),
        from(l) {
    conn = r.u.conn;
    ring_ = d_.hal_.dma_alloc(std::bit_ceil(d_.config_.send_buffer));
  }

  // ---- stream
  std::size_t write(std::span<const std::uint8_t> bytes) override {
    if (ended || fin_tx) return 0;
    const std::size_t room = ring_.bytes - posted.minus(later(una, iss + 1));
    const auto n = static_cast<std::uint32_t>(std::min(bytes.size(), room));
    wants_room = n < bytes.size();
    for (std::uint32_t done = 0; done < n;) {
      const std::uint32_t at = place(posted + done);
      const auto piece = std::min(n - done, static_cast<std::uint32_t>(ring_.bytes) - at);
      std::memcpy(ring_.cpu + at, bytes.data() + done, piece);
      d_.hal_.cpu_wrote(ring_.iova + at, piece);
      done += piece;
    }
    d_.hal_.spend(host::work::copy_bytes, n);
    d_.count_.copied_bytes += n;
    const seq32 begin = posted;
    posted += n;
    if (on_adapter) post_sends(begin);
    return n;
  }
  std::size_t read(std::span<std::uint8_t> room) override {
    std::size_t n = 0;
    while (n < room.size() && !ranges.empty()) {
      range& g = ranges.front();
      const std::size_t take = std::min<std::size_t>(room.size() - n, g.filled - g.read);
      std::memcpy(room.data() + n, d_.buffers_[g.buffer].cpu + g.read, take);
      g.read += static_cast<std::uint32_t>(take);
      n += take;
      if (g.read < g.len) break;
      d_.free_buffers_.push_back(g.buffer);
      ranges.pop_front();
    }
    unread -= static_cast<std::uint32_t>(n);
    d_.hal_.spend(host::work::copy_bytes, n);
    d_.count_.copied_bytes += n;
    grant();
    return n;
  }
  void shutdown_write() override {
    if (ended || fin_tx) return;
    fin_tx = true;
    fin_tx_first = !fin_rx;
    posted += 1;
    if (on_adapter) post_close();
  }
  void abort() override {
    user = nullptr;
    if (!ended && on_adapter) d_.post(entry(US_OP_ABORT, id.raw));
  }

  // ---- towards the adapter
  // Post [from, end of data) of the send stream, in pieces that do not wrap.
  void post_sends(seq32 at) {
    const seq32 end = fin_tx ? posted - 1 : posted;
    while (at.before(end)) {
      const auto wrap = static_cast<std::uint32_t>(ring_.bytes) - place(at);
      const std::uint32_t len = std::min({end.minus(at), wrap, 1u << 20});
      us_idt_entry e = entry(US_OP_SEND, id.raw);
      point_at(e.u.send, ring_.iova + place(at), len);
      at += len;
      e.u.send.seq_end = at.raw;
      for (auto* o : d_.observers_) o->on_send_posted(id, at, iova{ring_.iova + place(at - len)}, len);
      d_.post(e);
    }
  }
  void post_close() {
    us_idt_entry e = entry(US_OP_CLOSE, id.raw);
    e.u.send.seq_end = posted.raw;
    d_.post(e);
  }
  // Give the peer as much room as the reader has made.
  void grant() {
    if (!open || fin_rx || ended || !on_adapter) return;
    const std::uint32_t piece = d_.config_.buffer_bytes;
    while (edge.minus(rcv - unread) + piece <= d_.config_.receive_buffer) {
      edge += piece;
      ranges.push_back({d_.take_buffer(), piece, 0, 0, edge});
      post_range(ranges.back());
    }
  }
  struct range {  // a receive buffer in the stream
    std::uint32_t buffer;
    std::uint32_t len;
    std::uint32_t filled;
    std::uint32_t read;
    seq32 edge;  // sequence number after it
    bool posted = false;
  };
  void post_range(range& g) {
    us_idt_entry e = entry(US_OP_POST_RX, id.raw);
    const std::uint64_t at = d_.buffers_[g.buffer].iova + g.filled;
    point_at(e.u.rx, at, g.len - g.filled);
    e.u.rx.buf_id = g.buffer;
    e.u.rx.base_off = g.filled;
    e.u.rx.edge = g.edge.raw;
    g.posted = true;
    for (auto* o : d_.observers_)
      o->on_post_buffer(d_.current_, buf_id{g.buffer}, iova{at}, g.len - g.filled);
    d_.post(e);
  }
  void take_back(range& g) {
    if (!g.posted) return;
    g.posted = false;
    for (auto* o : d_.observers_) o->on_take_back(buf_id{g.buffer});
  }
  void restore() {
    us_idt_entry e = entry(US_OP_RESTORE, id.raw);
    auto& r = e.u.restore;
    std::memcpy(r.peer_ip, conn.peer_ip, sizeof r.peer_ip);
    r.local_port = conn.local_port;
    r.peer_port = conn.peer_port;
    r.addr_index = conn.addr_index;
    r.state = static_cast<std::uint8_t>(state());
    r.conn = conn.conn;
    r.wscale = conn.wscale;
    r.mss = conn.mss;
    r.fin = static_cast<std::uint16_t>((fin_tx ? US_FIN_TX : 0u) | (fin_rx ? US_FIN_RX : 0u));
    r.rcv_nxt = rcv.raw;
    r.snd_una = una.raw;
    r.snd_max = posted.raw;
    r.rcv_adv = edge.raw;
    r.iss = iss.raw;
    d_.post(e);
    d_.hal_.spend(host::work::restore_connection, 1);
  }
  // Everything after RESTORE: room for what comes, bytes that are not acknowledged, the end of the stream.
  void repost() {
    on_adapter = true;
    if (!fin_rx)
      for (range& g : ranges)
        if (g.filled < g.len) post_range(g);
    post_sends(later(una, iss + 1));
    if (fin_tx) post_close();
  }

  // ---- from records
  void acknowledged(seq32 to) {
    if (to.before_eq(una)) return;
    una = to;
    const seq32 data = earlier(una, fin_tx ? posted - 1 : posted);
    for (auto* o : d_.observers_) o->on_send_freed(id, data);
    if (wants_room && open) wake();
  }
  void data(const us_record& r) {
    std::uint32_t len = r.u.data.len;
    rcv = seq32{r.rcv_nxt};
    unread += len;
    for (range& g : ranges) {
      if (len == 0) break;
      if (g.buffer != r.u.data.buf_id) continue;
      g.filled += len;
      len = 0;
      if (g.filled == g.len) take_back(g);
    }
    if (r.flags & US_REC_FLAG_FIN) fin_rx = true;
    wake();
  }
  void end(int why) {
    if (ended) return;
    ended = true;
    error = why;
    for (range& g : ranges) take_back(g);
    while (!ranges.empty() && ranges.back().filled == ranges.back().read) {
      d_.free_buffers_.push_back(ranges.back().buffer);
      ranges.pop_back();
    }
    if (!ranges.empty()) ranges.back().len = ranges.back().filled;
    d_.hal_.dma_free(ring_);
    for (auto* o : d_.observers_) o->on_connection_end(id, why);
    wake();
  }
  void wake() {
    if (waking || !user) return;
    waking = true;
    d_.ready_.push_back(this);
  }
  // Tell the user what has happened since, in the order in which a connection lives.
  void tell() {
    waking = false;
    d_.hal_.spend(host::work::socket_call, 1);
    if (user && unread) user->on_readable();
    if (user && fin_rx && !unread && !told_eof) {
      told_eof = true;
      user->on_eof();
    }
    if (user && wants_room && !ended && !fin_tx) {
      wants_room = false;
      user->on_writable();
    }
    if (user && (ended || time_wait) && !told_end) {
      told_end = true;
      if (error)
        user->on_error(error == ECONNRESET ? "reset" : error == ETIMEDOUT ? "timed out" : "error");
      else
        user->on_closed();
    }
  }

  us_tcp_state state() const {
    if (ended) return US_TCP_CLOSED;
    if (!open) return US_TCP_SYN_RCVD;
    const bool all_acked = una == posted;
    if (!fin_tx) return fin_rx ? US_TCP_CLOSE_WAIT : US_TCP_ESTABLISHED;
    if (!fin_rx) return all_acked ? US_TCP_FIN_WAIT_2 : US_TCP_FIN_WAIT_1;
    return all_acked ? US_TCP_TIME_WAIT : fin_tx_first ? US_TCP_CLOSING : US_TCP_LAST_ACK;
  }
  host::connection_facts facts() const {
    host::connection_facts f;
    f.id = id;
    std::memcpy(f.local.ip, d_.config_.addresses[conn.addr_index].ip, sizeof f.local.ip);
    f.local.port = conn.local_port;
    std::memcpy(f.peer.ip, conn.peer_ip, sizeof f.peer.ip);
    f.peer.port = conn.peer_port;
    f.iss = iss;
    f.rcv_nxt = rcv;
    f.conn = conn.conn;
    f.wscale = conn.wscale;
    f.mss = conn.mss;
    return f;
  }

 private:
  std::uint32_t place(seq32 s) const {
    return s.minus(iss + 1) & static_cast<std::uint32_t>(ring_.bytes - 1);
  }
  polling_driver& d_;
  host::dma_region ring_;  // send bytes until they are acknowledged; a byte's place follows from its number

 public:
  const cid id;
  decltype(us_record::u.conn) conn;  // what the handshake agreed
  seq32 iss, una, posted, rcv, edge;
  const listener* from;
  std::deque<range> ranges;
  std::uint32_t unread = 0;
  tb::stream_user* user = nullptr;
  bool open = false, on_adapter = true, ended = false, time_wait = false;
  bool fin_tx = false, fin_rx = false, fin_tx_first = false;
  bool wants_room = false, waking = false, told_eof = false, told_end = false;
  int error = 0;
};

polling_driver::polling_driver(host::hal& machine, const host::driver_config& config)
    : hal_(machine), config_(config) {
  units_.resize(machine.adapters());
}

polling_driver::~polling_driver() {
  hal_.timer_stop(poll_timer_);
}

// ---------------------------------------------------------------- adapters

std::uint32_t polling_driver::read(unsigned a, std::uint32_t reg) {
  ++count_.mmio_reads;
  return hal_.mmio_read32(a, reg);
}

host::start_result polling_driver::bring_up(unsigned a) {
  unit& u = units_[a];
  hal_.cfg_write32(a, host::pci_command, host::pci_command_memory | host::pci_command_bus_master);
  if (read(a, US_REG_ID) != US_MAGIC) return {host::driver_error::wrong_magic, "US_REG_ID"};
  if (read(a, US_REG_ABI_VERSION) >> 16 != US_ABI_MAJOR)
    return {host::driver_error::wrong_abi, "US_REG_ABI_VERSION"};
  constexpr std::uint32_t needed =
      US_FEATURE_TCP | US_FEATURE_COMMIT_RECORDS | US_FEATURE_RESTORE | US_FEATURE_HEARTBEAT;
  if ((read(a, US_REG_FEATURES) & needed) != needed)
    return {host::driver_error::missing_feature, "US_REG_FEATURES"};
  u.idt = hal_.dma_alloc(ring_entries * US_ENTRY_BYTES);
  u.odt = hal_.dma_alloc(ring_entries * US_ENTRY_BYTES);
  u.beat = hal_.dma_alloc(sizeof(us_heartbeat));
  if (!u.idt.cpu || !u.odt.cpu || !u.beat.cpu) return {host::driver_error::no_memory, "tables"};
  const auto address = [&](std::uint32_t lo, std::uint64_t at) {
    hal_.mmio_write32(a, lo, static_cast<std::uint32_t>(at));
    hal_.mmio_write32(a, lo + 4, static_cast<std::uint32_t>(at >> 32));
  };
  address(US_REG_IDT_BASE_LO, u.idt.iova);
  address(US_REG_ODT_BASE_LO, u.odt.iova);
  address(US_REG_HEARTBEAT_LO, u.beat.iova);
  hal_.mmio_write32(a, US_REG_IDT_SIZE, ring_entries);
  hal_.mmio_write32(a, US_REG_ODT_SIZE, ring_entries);
  hal_.mmio_write32(a, US_REG_HEARTBEAT_US, config_.heartbeat_us);
  u.written = u.rung = u.consumed = u.next_record = u.given_back = config_.first_index;
  u.epoch = epoch_;
  hal_.mmio_write32(a, US_REG_EPOCH, epoch_);
  clock_and_secret(a, 0);
  hal_.mmio_write32(a, US_REG_CONTROL, US_CONTROL_ENABLE);
  u.missed = -static_cast<int>(config_.heartbeat_misses);  // the first beat may take longer
  post_addresses(a);
  fill_pool(a);
  ring(a);
  return {};
}

void polling_driver::clock_and_secret(unsigned a, std::uint32_t ticks_ahead) {
  hal_.mmio_write32(a, US_REG_CLOCK_MS, static_cast<std::uint32_t>(hal_.now_ns() / 1'000'000) + ticks_ahead);
  for (std::uint32_t i = 0; i < 4; ++i) hal_.mmio_write32(a, US_REG_SECRET_0 + 4 * i, config_.secret[i]);
}

host::start_result polling_driver::start() {
  for (unsigned a = 0; a < units_.size(); ++a)
    if (host::start_result r = bring_up(a); r.error != host::driver_error::none) return r;
  current_ = config_.active;
  hal_.mmio_write32(current_, US_REG_CONTROL, US_CONTROL_ENABLE | US_CONTROL_RX_ENABLE);
  poll_later();
  return {};
}

void polling_driver::post_to(unsigned a, us_idt_entry e) {
  unit& u = units_[a];
  ++count_.descriptors;
  const auto index = u.written + static_cast<std::uint32_t>(u.waiting.size());
  for (auto* o : observers_) o->on_descriptor(a, e, index);
  if (u.waiting.empty() && u.written - u.consumed < ring_entries) {
    store(u, e);
  } else {
    u.waiting.push_back(e);
    ++count_.backlogged;
  }
}

void polling_driver::store(unit& u, us_idt_entry e) {
  e.index16 = static_cast<std::uint16_t>(u.written);
  e.crc = crc32c(&e, offsetof(us_idt_entry, crc));
  const std::size_t place = (u.written % ring_entries) * US_ENTRY_BYTES;
  std::memcpy(u.idt.cpu + place, &e, sizeof e);
  hal_.cpu_wrote(u.idt.iova + place, sizeof e);
  hal_.spend(host::work::write_descriptor, 1);
  ++u.written;
}

// Tell an adapter of new descriptors and of records that were read.
void polling_driver::ring(unsigned a) {
  unit& u = units_[a];
  while (!u.waiting.empty() && u.written - u.consumed < ring_entries) {
    store(u, u.waiting.front());
    u.waiting.pop_front();
  }
  if (u.rung != u.written) {
    u.rung = u.written;
    ++count_.doorbells;
    hal_.mmio_write32(a, US_REG_IDT_TAIL, u.written);
  }
  if (u.given_back != u.next_record) {
    u.given_back = u.next_record;
    ++count_.doorbells;
    hal_.mmio_write32(a, US_REG_ODT_HEAD, u.next_record);
  }
}

void polling_driver::post_addresses(unsigned a) {
  for (std::size_t i = 0; i < config_.addresses.size(); ++i) {
    const host::local_address& l = config_.addresses[i];
    us_idt_entry e = entry(US_OP_SET_ADDRESS);
    std::memcpy(e.u.set_address.mac, l.mac, sizeof l.mac);
    std::memcpy(e.u.set_address.ip, l.ip, sizeof l.ip);
    std::memcpy(e.u.set_address.gateway, l.gateway, sizeof l.gateway);
    e.u.set_address.addr_index = static_cast<std::uint8_t>(i);
    e.u.set_address.prefix_len = l.prefix_len;
    e.u.set_address.mtu = l.mtu;
    post_to(a, e);
  }
}

void polling_driver::post_listener(unsigned a, const listener& l) {
  us_idt_entry e = entry(US_OP_LISTEN);
  if (l.failover) e.flags = US_CONN_PROTECTED;
  e.u.listen.port = l.port;
  e.u.listen.backlog = l.backlog;
  post_to(a, e);
}

void polling_driver::fill_pool(unsigned a) {
  while (units_[a].pool.size() < config_.pool_buffers) {
    const std::uint32_t b = take_buffer();
    us_idt_entry e = entry(US_OP_POST_POOL);
    point_at(e.u.rx, buffers_[b].iova, config_.buffer_bytes);
    e.u.rx.buf_id = b;
    units_[a].pool.push_back(b);
    for (auto* o : observers_) o->on_post_buffer(a, buf_id{b}, iova{buffers_[b].iova}, config_.buffer_bytes);
    post_to(a, e);
  }
}

std::uint32_t polling_driver::take_buffer() {
  if (free_buffers_.empty()) {
    buffers_.push_back(hal_.dma_alloc(config_.buffer_bytes));
    free_buffers_.push_back(static_cast<std::uint32_t>(buffers_.size() - 1));
  }
  const std::uint32_t b = free_buffers_.back();
  free_buffers_.pop_back();
  return b;
}

int polling_driver::listen(std::uint16_t port, unsigned backlog, bool failover,
                           tb::host_streams::acceptor accept) {
  if (listeners_.capacity() == 0) listeners_.reserve(1024);  // connections point at them
  if (listeners_.size() == listeners_.capacity()) return -ENOBUFS;
  listeners_.push_back({port, backlog, failover, std::move(accept)});
  if (current_ != no_adapter) post_listener(current_, listeners_.back());
  return 0;
}

// ---------------------------------------------------------------- the loop

void polling_driver::poll_later() {
  poll_timer_ = hal_.timer_start(
      poll_ns, [](void* self) { static_cast<polling_driver*>(self)->poll(); }, this);
}

void polling_driver::poll() {
  for (unsigned a = 0; a < units_.size(); ++a)
    if (units_[a].alive) drain(a);
  if (state_ == host::recovery_state::loading || state_ == host::recovery_state::identity) follow_load();
  health();
  std::vector<connection*> now;
  now.swap(ready_);
  for (connection* c : now) c->tell();
  for (unsigned a = 0; a < units_.size(); ++a)
    if (units_[a].alive) ring(a);
  if (condition_ == host::driver_error::none) poll_later();
}

void polling_driver::drain(unsigned a) {
  unit& u = units_[a];
  for (;;) {
    us_record r;
    std::memcpy(&r, u.odt.cpu + (u.next_record % ring_entries) * US_ENTRY_BYTES, sizeof r);
    if (r.type == US_REC_NONE || r.number != u.next_record || r.crc != crc32c(&r, offsetof(us_record, crc)))
      return;
    ++u.next_record;
    hal_.spend(host::work::read_cold_record, 1);
    if (r.epoch != u.epoch) {
      ++count_.late_records;
      continue;
    }
    ++count_.records;
    for (auto* o : observers_) o->on_record(a, r);
    u.consumed = r.idt_head;
    apply(a, r);
  }
}

void polling_driver::apply(unsigned a, const us_record& r) {
  if (r.type == US_REC_REFUSED) ++count_.refused;
  const auto found = by_cid_.find(r.cid);
  connection* c = found == by_cid_.end() ? nullptr : found->second;
  if (!c) {
    if (r.type == US_REC_EMBRYO) begin(a, r);
    return;
  }
  c->acknowledged(seq32{r.snd_una});
  switch (r.type) {
    case US_REC_ESTABLISHED:
      c->open = true;
      c->conn = r.u.conn;
      c->user = c->from->accept(*c, r.u.conn.peer_port);
      if (!c->user) return c->abort();
      c->grant();
      c->user->on_open();
      break;
    case US_REC_DATA:
      c->data(r);
      break;
    case US_REC_TIME_WAIT:
      c->time_wait = true;
      c->wake();
      break;
    case US_REC_CLOSED:
    case US_REC_ABORTED:
      by_cid_.erase(found);
      c->end(r.type == US_REC_CLOSED ? 0 : r.u.end.status == US_ERR_TIMEOUT ? ETIMEDOUT : ECONNRESET);
      break;
    default:
      break;
  }
}

// A peer's SYN is committed: from here on the connection survives its adapter.
void polling_driver::begin(unsigned a, const us_record& r) {
  const auto l = std::find_if(listeners_.begin(), listeners_.end(),
                              [&](const listener& x) { return x.port == r.u.conn.local_port; });
  if (l == listeners_.end()) return;
  connections_.push_back(std::make_unique<connection>(*this, r, seq32{r.snd_una}, &*l));
  connection& c = *connections_.back();
  by_cid_[r.cid] = &c;
  if (r.snd_wnd != US_NO_BUF) {
    std::erase(units_[a].pool, r.snd_wnd);
    c.edge += config_.buffer_bytes;
    c.ranges.push_back({r.snd_wnd, config_.buffer_bytes, 0, 0, c.edge, true});
    fill_pool(a);
  }
  const host::connection_facts f = c.facts();
  for (auto* o : observers_) o->on_connection(f);
}

void polling_driver::health() {
  const std::uint64_t now = hal_.now_ns();
  if (config_.heartbeat_us == 0 || now < next_health_ns_) return;
  next_health_ns_ = now + config_.heartbeat_us * 1'000ULL;
  for (unsigned a = 0; a < units_.size(); ++a) {
    unit& u = units_[a];
    if (!u.alive) continue;
    us_heartbeat h;
    std::memcpy(&h, u.beat.cpu, sizeof h);
    const bool beats = h.count != u.last_beat && !(h.status & US_STATUS_FATAL);
    u.last_beat = h.count;
    u.missed = beats ? 0 : u.missed + 1;
    if (u.missed < static_cast<int>(config_.heartbeat_misses)) continue;
    u.alive = false;
    if (a == current_) {
      from_ = a;
      recover();
    }
  }
}

// ---------------------------------------------------------------- recovery

void polling_driver::enter(host::recovery_state s) {
  state_ = s;
  hal_.note_recovery(from_, current_ == no_adapter ? from_ : current_, static_cast<unsigned>(s));
}

// Cut the slot's link, and see that it is cut. What was on its way has landed when the port answers.
bool polling_driver::fence(unsigned a) {
  const auto read_port = [&](std::uint32_t offset) { return hal_.port_cfg_read32(a, offset); };
  const std::uint32_t express = host::pci_find_capability(read_port, host::pci_cap_express);
  if (!express) return false;
  const std::uint32_t at = express + host::pci_express_link_control;
  hal_.port_cfg_write32(a, at, (read_port(at) & 0xffff) | host::pci_link_control_disable);
  const std::uint32_t after = read_port(at);
  return after != host::all_ones && (after & host::pci_link_control_disable);
}

void polling_driver::recover() {
  using enum host::recovery_state;
  ++count_.failovers;
  unsigned to = no_adapter;
  for (unsigned i = 1; i < units_.size() && to == no_adapter; ++i) {
    const auto candidate = static_cast<unsigned>((from_ + i) % units_.size());
    if (config_.failover && units_[candidate].alive) to = candidate;
  }
  current_ = to;
  enter(fencing);
  hal_.port_down_and_hold(from_);
  held_.push_back(from_);
  if (!fence(from_)) condition_ = host::driver_error::fence_failed;

  enter(blocked);  // an adapter that never received drops every frame until it is told otherwise
  enter(draining);
  drain(from_);
  for (const std::uint32_t b : units_[from_].pool) {
    for (auto* o : observers_) o->on_take_back(buf_id{b});
    free_buffers_.push_back(b);
  }
  units_[from_].pool.clear();
  for (auto& c : connections_) {
    c->on_adapter = false;
    for (connection::range& g : c->ranges) c->take_back(g);
  }
  if (to == no_adapter && condition_ == host::driver_error::none)
    condition_ = host::driver_error::no_substitute;
  if (condition_ != host::driver_error::none) {
    current_ = no_adapter;
    for (auto& [name, c] : by_cid_) c->end(ENETDOWN);
    by_cid_.clear();
    return;
  }
  enter(rebuilding);
  enter(loading);
  if (!load()) {
    units_[current_].alive = false;
    from_ = current_;
    recover();
  }
}

bool polling_driver::load() {
  unit& u = units_[current_];
  drain(current_);
  u.epoch = ++epoch_;
  hal_.mmio_write32(current_, US_REG_EPOCH, epoch_);
  clock_and_secret(current_, 1);
  for (const listener& l : listeners_) post_listener(current_, l);
  for (auto& [name, c] : by_cid_) {
    if (!(c->conn.conn & US_CONN_PROTECTED)) continue;
    c->restore();
    ++count_.restored;
  }
  for (auto& [name, c] : by_cid_) c->repost();
  ring(current_);
  load_end_ = u.written + static_cast<std::uint32_t>(u.waiting.size());
  load_began_ns_ = hal_.now_ns();
  return read(current_, US_REG_CONTROL) == US_CONTROL_ENABLE;
}

// The load is executed: take the addresses over. They are: receive.
void polling_driver::follow_load() {
  unit& u = units_[current_];
  const std::uint32_t head = read(current_, US_REG_IDT_HEAD);
  if (head == host::all_ones || hal_.now_ns() - load_began_ns_ > config_.load_timeout_us * 1'000ULL) {
    u.alive = false;
    from_ = current_;
    return recover();
  }
  u.consumed = head;
  if (static_cast<std::int32_t>(head - load_end_) < 0) return;
  if (state_ == host::recovery_state::loading) {
    enter(host::recovery_state::identity);
    post_addresses(current_);
    ring(current_);
    load_end_ = u.written + static_cast<std::uint32_t>(u.waiting.size());
    return;
  }
  enter(host::recovery_state::running);
  hal_.mmio_write32(current_, US_REG_CONTROL, US_CONTROL_ENABLE | US_CONTROL_RX_ENABLE);
  read(current_, US_REG_CONTROL);  // the answer shows that the write has taken effect
  for (const unsigned a : held_) hal_.port_release(a, current_);
  held_.clear();
}

// ---------------------------------------------------------------- looking

host::ring_facts polling_driver::rings(unsigned a) const {
  const unit& u = units_[a];
  if (!u.beat.cpu) return {};  // not brought up yet
  return {u.idt.iova, ring_entries, u.odt.iova, ring_entries, u.beat.iova, u.epoch, config_.first_index};
}

std::vector<host::shadow_facts> polling_driver::shadows() const {
  std::vector<host::shadow_facts> all;
  for (const auto& [name, c] : by_cid_) {
    host::shadow_facts f;
    f.facts = c->facts();
    f.state = c->state();
    f.h_rcv = c->rcv;
    f.h_una = c->una;
    f.h_post_end = c->posted;
    f.grant_edge = c->edge;
    f.fin_tx = c->fin_tx;
    f.fin_rx = c->fin_rx;
    f.protected_connection = c->conn.conn & US_CONN_PROTECTED;
    all.push_back(f);
  }
  return all;
}

std::size_t polling_driver::connections() const {
  return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                [](const auto& c) { return !c->ended || c->unread; }));
}

}  // namespace own
