#include "host_sw/driver/driver.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host_sw/driver/driver_core.h"
#include "host_sw/driver/restore.h"
#include "host_sw/driver/siphash.h"

namespace understudy::host {

struct driver::impl : driver_core {
  using driver_core::driver_core;
};

namespace {

constexpr std::uint16_t first_ephemeral = 49152;  // RFC 6335 6
constexpr std::uint32_t ephemeral_ports = 16384;

bool is_any(const std::uint8_t (&ip)[16]) {
  // ::, or 0.0.0.0 as ::ffff:0.0.0.0
  return std::all_of(ip, ip + 10, [](std::uint8_t b) { return b == 0; }) &&
         std::all_of(ip + 12, ip + 16, [](std::uint8_t b) { return b == 0; }) && ip[10] == ip[11];
}

bool is_v4(const std::uint8_t (&ip)[16]) {
  return std::all_of(ip, ip + 10, [](std::uint8_t b) { return b == 0; }) && ip[10] == 0xff && ip[11] == 0xff;
}

// Index of the local address to use, or -1.
int pick_address(const driver_config& config, const endpoint& local, const endpoint& peer) {
  for (std::size_t i = 0; i < config.addresses.size(); ++i) {
    const auto& a = config.addresses[i].ip;
    const bool fits = is_any(local.ip) ? is_v4(a) == is_v4(peer.ip) : std::equal(a, a + 16, local.ip);
    if (fits) return static_cast<int>(i);
  }
  return -1;
}

// RFC 9293 MUST-46: one station may have this address; `from` is the local one at hand, whose network tells
// its broadcast address.
bool is_station(const endpoint& peer, const local_address& from) {
  if (is_any(peer.ip)) return false;
  if (!is_v4(peer.ip)) return peer.ip[0] != 0xff;
  const auto v4_of = [](const std::uint8_t(&ip)[16]) {
    return std::uint32_t{ip[12]} << 24 | std::uint32_t{ip[13]} << 16 | std::uint32_t{ip[14]} << 8 | ip[15];
  };
  const std::uint32_t to = v4_of(peer.ip);
  if (to >> 28 == 14 || to == 0xffffffff) return false;
  if (!is_v4(from.ip) || from.prefix_len < 96 || from.prefix_len > 126) return true;
  const std::uint32_t host_part = 0xffffffffu >> (from.prefix_len - 96);
  return (to & host_part) != host_part || (to | host_part) != (v4_of(from.ip) | host_part);
}

// Keyed hash of what distinguishes the connection.
std::uint64_t hash(const driver_config& config, const tuple_key& k) {
  std::uint8_t b[21];
  std::memcpy(b, k.peer_ip.data(), 16);
  std::memcpy(b + 16, &k.local_port, 2);
  std::memcpy(b + 18, &k.peer_port, 2);
  b[20] = k.addr_index;
  return siphash(config.secret, b, sizeof b);
}

// Ephemeral port by RFC 6056 3.3.3; false: all are taken.
bool pick_port(driver_core& d, tuple_key& k) {
  k.local_port = 0;
  const auto offset = static_cast<std::uint32_t>(hash(d.config, k));
  for (std::uint32_t i = 0; i < ephemeral_ports; ++i) {
    k.local_port = static_cast<std::uint16_t>(first_ephemeral + (offset + d.next_port++) % ephemeral_ports);
    int number;
    if (!d.table.find(k) && !d.find_listener(k.addr_index, k.local_port, &number)) return true;
  }
  return false;
}

connection_options resolved(const driver_config& config, connection_options o) {
  constexpr std::uint32_t largest = 1u << 30;
  o.receive_buffer = std::min(o.receive_buffer ? o.receive_buffer : config.receive_buffer, largest);
  o.send_buffer = std::min(o.send_buffer ? o.send_buffer : config.send_buffer, largest);
  return o;
}

}  // namespace

const char* name(recovery_state s) {
  static constexpr const char* names[] = {"ACTIVE",     "FENCING", "BLOCKED",  "DRAINING",
                                          "REBUILDING", "LOADING", "IDENTITY", "RUNNING"};
  return names[static_cast<std::size_t>(s)];
}

const char* name(driver_error e) {
  static constexpr const char* names[] = {"none",
                                          "bad configuration",
                                          "no device",
                                          "wrong device",
                                          "wrong magic number",
                                          "wrong ABI version",
                                          "missing feature",
                                          "no memory",
                                          "no substitute",
                                          "fence failed"};
  return names[static_cast<std::size_t>(e)];
}

driver::driver(hal& h, driver_config config) : impl_(std::make_unique<impl>(h, std::move(config))) {}
driver::~driver() = default;

start_result driver::start() {
  return impl_->start();
}
void driver::set_user(driver_user* u) {
  impl_->user = u;
}
void driver::add_observer(driver_observer* o) {
  impl_->observers.push_back(o);
}
const std::vector<driver_observer*>& driver::observers() const {
  return impl_->observers;
}

void driver::fail_now(unsigned adapter) {
  impl_->recovery.fail(adapter);
}
recovery_state driver::state() const {
  return impl_->recovery.state();
}
unsigned driver::active_adapter() const {
  return impl_->current;
}
driver_error driver::condition() const {
  return impl_->recovery.condition();
}

int driver::listen(const endpoint& local, unsigned backlog, const connection_options& o) {
  driver_core& d = *impl_;
  if (local.port == 0) return -EINVAL;
  if (d.recovery.condition() != driver_error::none || d.current == no_adapter) return -ENETDOWN;
  listener l;
  l.open = true;
  l.port = local.port;
  l.backlog = std::max(backlog, 1u);
  l.options = resolved(d.config, o);
  if (o.speaks_first && o.failover && o.commit == US_COMMIT_BEFORE_DATA_ACK) return -EINVAL;
  if (!o.commit) {
    const bool would_hang = o.speaks_first && d.config.commit == US_COMMIT_BEFORE_DATA_ACK;
    l.options.commit = would_hang ? US_COMMIT_BEFORE_SYNACK : d.config.commit;
  }
  for (std::size_t i = 0; i < d.config.addresses.size(); ++i) {
    const auto& a = d.config.addresses[i].ip;
    if (is_any(local.ip) || std::equal(a, a + 16, local.ip))
      l.addresses.push_back(static_cast<std::uint8_t>(i));
  }
  if (l.addresses.empty()) return -EADDRNOTAVAIL;
  int number;
  for (const std::uint8_t a : l.addresses)
    if (d.find_listener(a, l.port, &number)) return -EADDRINUSE;
  const auto free =
      std::find_if(d.listeners.begin(), d.listeners.end(), [](const listener& x) { return !x.open; });
  const auto at = free - d.listeners.begin();
  if (free == d.listeners.end()) {
    d.listeners.push_back(l);
  } else {
    *free = l;
  }
  d.post_listener(d.devices[d.current], l, US_OP_LISTEN);
  return static_cast<int>(at);
}

void driver::close_listener(int number) {
  driver_core& d = *impl_;
  if (number < 0 || static_cast<std::size_t>(number) >= d.listeners.size()) return;
  listener& l = d.listeners[static_cast<std::size_t>(number)];
  if (!std::exchange(l.open, false)) return;
  if (d.current != no_adapter) d.post_listener(d.devices[d.current], l, US_OP_UNLISTEN);
  // Handshakes under way belong to nobody now.
  d.table.for_each([&](connection& c) {
    if (c.listener == number && !c.owned) d.request_abort(c, ECONNABORTED);
  });
}

void driver::tune_listener(int number, const connection_tuning& t) {
  listener& l = impl_->listeners[static_cast<std::size_t>(number)];
  l.options.tuned = true;
  l.options.tuning = t;
}

void driver::accepted(int number) {
  impl_->accepted(number);
}

void driver::announce_now() {
  driver_core& d = *impl_;
  if (d.current != no_adapter) d.devices[d.current].announce_now();
}

int driver::connect(const endpoint& local, const endpoint& peer, const connection_options& o, conn* out) {
  driver_core& d = *impl_;
  *out = no_conn;
  if (d.recovery.condition() != driver_error::none || d.current == no_adapter) return -ENETDOWN;
  if (peer.port == 0) return -EINVAL;
  const int address = pick_address(d.config, local, peer);
  if (address < 0) return -EADDRNOTAVAIL;
  if (!is_station(peer, d.config.addresses[static_cast<std::size_t>(address)])) return -ENETUNREACH;
  tuple_key k;
  std::memcpy(k.peer_ip.data(), peer.ip, k.peer_ip.size());
  k.peer_port = peer.port;
  k.addr_index = static_cast<std::uint8_t>(address);
  k.local_port = local.port;
  if (local.port == 0) {
    if (!pick_port(d, k)) return -EADDRNOTAVAIL;
  } else if (d.table.find(k)) {
    return -EADDRINUSE;
  }
  connection* c = d.table.create(k);
  if (!c) return -ENOBUFS;
  c->phase = conn_phase::connecting;
  c->owned = c->opened_here = true;
  c->options = resolved(d.config, o);
  // RFC 6528 3: a 4 us clock plus a keyed hash; distinct among handshakes under way, whose name it is.
  auto iss = static_cast<std::uint32_t>(d.hw.now_ns() / 4000 + hash(d.config, k));
  while (!d.connecting.emplace(iss, c->handle).second) ++iss;
  c->iss = c->h_una = seq32{iss};
  c->h_post_end = c->freed = c->iss + 1;
  d.post_connect(*c);
  *out = c->handle;
  return 0;
}

std::ptrdiff_t driver::write(conn handle, const void* data, std::size_t bytes) {
  driver_core& d = *impl_;
  connection* c = d.table.find(handle);
  if (!c) return -EBADF;
  const auto n = static_cast<std::uint32_t>(std::min(bytes, d.room(*c)));
  c->wants_room = n < bytes;
  if (n == 0) return 0;
  if (!c->retained.created()) {
    const dma_region memory = d.retention.take(c->options.send_buffer);
    if (!memory.cpu) return -ENOBUFS;
    c->retained.create(memory, c->first_byte());
  }
  const seq32 from = c->h_post_end;
  c->retained.store(d.hw, from, static_cast<const std::uint8_t*>(data), n);
  c->h_post_end += n;
  d.count.copied_bytes += n;
  d.hw.spend(work::copy_bytes, n);
  if (c->on_adapter) d.post_send(*c, from, c->h_post_end);
  if (d.config.mutants.free_before_ack) d.free_sent(*c, c->h_post_end);
  return static_cast<std::ptrdiff_t>(n);
}

std::size_t driver::read(conn handle, void* room, std::size_t bytes) {
  driver_core& d = *impl_;
  connection* c = d.table.find(handle);
  if (!c) return 0;
  auto* to = static_cast<std::uint8_t*>(room);
  std::size_t taken = 0;
  if (c->direct) {  // up to what lies in memory of the application
    const bool pool_first = !c->direct->arrived.empty() && !c->direct->arrived.front().direct;
    bytes = pool_first ? std::min<std::size_t>(bytes, c->direct->arrived.front().bytes) : 0;
  }
  while (taken < bytes && !c->rx.empty()) {
    rx_range& r = c->rx.front();
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(r.committed - r.consumed, bytes - taken));
    std::memcpy(to + taken, d.buffers.find(r.id)->cpu + r.consumed, n);
    r.consumed += n;
    taken += n;
    if (r.consumed < r.len) {
      if (r.consumed == r.committed) break;
      continue;
    }
    const rx_range read = r;
    c->rx.pop_front();
    if (!d.config.mutants.leak_buffer) d.give_back(read.id, read.committed);
  }
  c->unread -= static_cast<std::uint32_t>(taken);
  if (c->direct && taken) {
    arrival& first = c->direct->arrived.front();
    first.bytes -= static_cast<std::uint32_t>(taken);
    if (first.bytes == 0) c->direct->arrived.pop_front();
  }
  d.count.copied_bytes += taken;
  if (taken) d.hw.spend(work::copy_bytes, taken);
  d.grant(*c);
  return taken;
}

std::size_t driver::readable(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? c->unread : 0;
}

bool driver::at_end(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c && c->fin_rx && c->unread == 0;
}

std::size_t driver::writable(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? impl_->room(*c) : 0;
}

int driver::finish(conn handle) {
  connection* c = impl_->table.find(handle);
  if (!c) return -EBADF;
  impl_->finish(*c);
  return 0;
}

int driver::abort(conn handle) {
  connection* c = impl_->table.find(handle);
  if (!c) return -EBADF;
  impl_->request_abort(*c, ECONNABORTED);
  return 0;
}

int driver::tune(conn handle, const connection_tuning& t) {
  connection* c = impl_->table.find(handle);
  if (!c) return -EBADF;
  c->options.tuned = true;
  c->options.tuning = t;
  impl_->post_options(*c);
  return 0;
}

void driver::hurry(conn handle) {
  driver_core& d = *impl_;
  const connection* c = d.table.find(handle);
  if (c && c->on_adapter && c->id.valid() && d.devices[d.current].has_memory_features())
    d.post(d.devices[d.current], descriptor(US_OP_FLUSH, c->id.raw));
}

dma_region driver::allocate_memory(std::size_t bytes, std::uint32_t process) {
  const dma_region r = impl_->memory.allocate(bytes, process);
  if (r.cpu)
    for (driver_observer* o : impl_->observers) o->on_app_memory(iova{r.iova}, r.bytes);
  return r;
}

buffer_status driver::free_memory(const dma_region& r) {
  const buffer_status s = impl_->memory.free(r.cpu);
  if (s == buffer_status::ok)
    for (driver_observer* o : impl_->observers) o->on_app_memory_gone(iova{r.iova});
  return s;
}

buffer_status driver::lend(conn handle, std::uint8_t* at, std::size_t bytes, std::uint64_t cookie) {
  connection* c = impl_->table.find(handle);
  return c ? impl_->lend(*c, at, bytes, cookie) : buffer_status::bad_state;
}

bool driver::take_received(conn handle, received_piece* out) {
  connection* c = impl_->table.find(handle);
  return c && impl_->take_received(*c, out);
}

buffer_status driver::send_from(conn handle, const std::uint8_t* at, std::size_t bytes,
                                std::uint64_t cookie) {
  connection* c = impl_->table.find(handle);
  return c ? impl_->send_from(*c, at, bytes, cookie) : buffer_status::bad_state;
}

void driver::note_access(const std::uint8_t* at, std::size_t bytes, bool write) {
  if (impl_->observers.empty()) return;
  const std::uint64_t where = impl_->memory.iova_of(at);
  if (!where) return;
  for (driver_observer* o : impl_->observers)
    o->on_app_access(iova{where}, static_cast<std::uint32_t>(bytes), write);
}

bool driver::take_sent(conn handle, sent_piece* out) {
  connection* c = impl_->table.find(handle);
  return c && impl_->take_sent(*c, out);
}

void driver::release(conn handle) {
  driver_core& d = *impl_;
  connection* c = d.table.find(handle);
  if (!c) return;
  c->owned = false;
  c->user_number = -1;
  d.discard_unread(*c);
  if (c->phase != conn_phase::gone) return d.finish(*c);
  d.table.erase(*c);
}

void driver::set_user_number(conn handle, int number) {
  if (connection* c = impl_->table.find(handle)) c->user_number = number;
}

int driver::user_number(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? c->user_number : -1;
}

connection_options driver::options(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? c->options : connection_options{};
}

endpoint driver::local(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? facts_of(*c, impl_->config).local : endpoint{};
}

endpoint driver::peer(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? facts_of(*c, impl_->config).peer : endpoint{};
}

cid driver::id(conn handle) const {
  const connection* c = impl_->table.find(handle);
  return c ? c->last_id : cid{};
}

const driver_config& driver::config() const {
  return impl_->config;
}
const driver_counters& driver::counters() const {
  return impl_->count;
}
driver_counters& driver::counters() {
  return impl_->count;
}
hal& driver::machine() {
  return impl_->hw;
}
raw_send* driver::open_raw(const tx_pool_config& c, void (*done)(void*, std::uint64_t, bool), void* context,
                           unsigned queue) {
  return impl_->open_raw(c, done, context, queue);
}

tx_buf_pool& driver::raw_buffers(unsigned queue) {
  return impl_->raw.at(raw_port::place(queue))->pool;
}

unsigned driver::tx_queues() const {
  return impl_->current == no_adapter ? 0 : impl_->devices[impl_->current].tx_queues();
}

ring_facts driver::rings(unsigned adapter) const {
  return impl_->devices.at(adapter).facts();
}

std::vector<shadow_facts> driver::shadows() const {
  std::vector<shadow_facts> r;
  impl_->table.for_each([&](connection& c) {
    if (!c.id.valid()) return;
    shadow_facts s;
    s.facts = facts_of(c, impl_->config);
    s.state = derive_state(c);
    s.h_rcv = c.h_rcv;
    s.h_una = c.h_una;
    s.h_post_end = c.h_post_end;
    s.grant_edge = c.edge;
    s.fin_tx = c.fin_tx;
    s.fin_rx = c.fin_rx;
    s.protected_connection = c.protected_connection();
    r.push_back(s);
  });
  std::sort(r.begin(), r.end(),
            [](const shadow_facts& a, const shadow_facts& b) { return a.facts.id < b.facts.id; });
  return r;
}

bool driver::all_acknowledged() const {
  bool all = true;
  impl_->table.for_each(
      [&all](const connection& c) { all = all && (!c.id.valid() || c.h_una == c.h_post_end); });
  return all;
}

std::size_t driver::connections() const {
  return impl_->table.size();
}
std::size_t driver::buffers_free() const {
  return impl_->buffers.free();
}
std::size_t driver::buffers_total() const {
  return impl_->buffers.total();
}

std::vector<any_driver::group_facts> driver::groups() const {
  driver_core& d = *impl_;
  std::vector<group_facts> all(d.groups.size());
  for (unsigned g = 0; g < all.size(); ++g) {
    all[g].total = d.buffers.total(g);
    all[g].free = d.buffers.free(g);
    all[g].bytes = d.buffers.bytes_each(g);
    all[g].exhausted = d.groups[g].exhausted;
    all[g].borrowed = d.groups[g].borrowed;
    all[g].most_in_use = d.groups[g].most_in_use;
    all[g].limit = d.groups[g].adaptive.adapts() ? d.groups[g].bound : 0;
    all[g].limit_changes = d.groups[g].adaptive.changes();
    for (const device& dev : d.devices) all[g].posted += dev.pool_posted[g];
  }
  d.table.for_each([&](connection& c) {
    for (std::size_t i = 0; i < c.rx.size(); ++i) {
      group_facts& g = all[d.buffers.find(c.rx[i].id)->group];
      ++(c.rx[i].posted ? g.posted : g.filled);
    }
  });
  return all;
}

}  // namespace understudy::host
