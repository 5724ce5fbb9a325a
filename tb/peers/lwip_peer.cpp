#include "tb/peers/lwip_peer.h"

#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/core/fifo.h"
#include "model/core/wire_bytes.h"
#include "model/sim/agenda.h"
#include "tb/peers/lwip_time.h"

namespace understudy::tb {
namespace {

constexpr const char* report_id = "/understudy/peers/lwip";
constexpr picos millisecond = 1_ms;

// The fields of a TCP segment that the counters need.
struct segment_view {
  ip_address destination_ip;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint32_t seq = 0;
  std::uint32_t payload = 0;
  bool syn = false, fin = false, rst = false;
};

constexpr std::uint32_t type_v4 = 0x0800, type_arp = 0x0806, type_v6 = 0x86dd;

// Whether `f` is an unfragmented TCP segment over IPv4, or one over IPv6 without extension headers.
bool view_segment(const frame_ref& f, segment_view& v) {
  const std::uint8_t* d = f.data();
  if (f.size() < 54) return false;
  const bool v6 = get16(d + 12) == type_v6 && d[20] == 6;
  const bool v4 = get16(d + 12) == type_v4 && d[23] == 6 && !(get16(d + 20) & 0x3fff);
  if (!v4 && !v6) return false;
  const std::uint32_t ip_header = v6 ? 40 : (d[14] & 15u) * 4;
  const std::uint32_t ip_total = v6 ? 40u + get16(d + 18) : get16(d + 16);
  if (ip_total + 14 > f.size() || ip_total < ip_header + 20) return false;
  const std::uint8_t* t = d + 14 + ip_header;
  const std::uint32_t headers = ip_header + (t[12] >> 4) * 4u;
  if (ip_total < headers) return false;
  if (v6)
    std::copy_n(d + 38, 16, v.destination_ip.bytes.begin());
  else
    v.destination_ip = ip_address::v4(get32(d + 30));
  v.source_port = get16(t);
  v.destination_port = get16(t + 2);
  v.seq = get32(t + 4);
  v.payload = ip_total - headers;
  v.fin = t[13] & 1;
  v.syn = t[13] & 2;
  v.rst = t[13] & 4;
  return true;
}

bool before(std::uint32_t x, std::uint32_t y) {
  return static_cast<std::int32_t>(x - y) < 0;
}

ip_addr_t to_lwip(const ip_address& a) {
  if (a.is_v4()) return IPADDR4_INIT(lwip_htonl(a.v4_value()));
  ip_addr_t r{};
  IP_SET_TYPE_VAL(r, IPADDR_TYPE_V6);
  std::memcpy(ip_2_ip6(&r)->addr, a.bytes.data(), 16);
  return r;
}
ip_address from_lwip(const ip_addr_t& a) {
  if (!IP_IS_V6_VAL(a)) return ip_address::v4(lwip_ntohl(a.u_addr.ip4.addr));
  ip_address r;
  std::memcpy(r.bytes.data(), ip_2_ip6(&a)->addr, 16);
  return r;
}

// A connection by remote address and both ports.
struct connection_key {
  ip_address remote;
  std::uint32_t ports = 0;  // local << 16 | remote
  bool operator==(const connection_key&) const = default;
};
struct key_hash {
  std::size_t operator()(const connection_key& k) const {
    std::uint64_t low;
    std::memcpy(&low, k.remote.bytes.data() + 8, sizeof low);
    return ((low ^ std::uint64_t{k.ports} << 16) * 0x9e3779b97f4a7c15ULL) >> 20;
  }
};

}  // namespace

struct lwip_peer::impl : eth_if {
  struct connection;
  struct listener {
    impl* owner;
    std::function<stream_user*(stream&)> accept;
  };
  // What was sent on a connection so far.
  struct sent_record {
    std::uint32_t iss = 0;
    std::uint32_t end = 0;  // after the highest number sent
    connection* c = nullptr;
  };

  impl(const lwip_peer_config& c, std::uint64_t seed, const std::string& name);
  ~impl() override;

  picos take(frame_ref f) override;
  void start();
  void listen(std::uint16_t port, std::function<stream_user*(stream&)> accept);
  connection& connect(const ip_address& remote, std::uint16_t port, std::uint16_t local_port,
                      stream_user& user);
  // To be called whenever a call into lwIP is over.
  void after_lwip();
  bool passes(const frame_ref& f) const;

  static err_t on_netif_init(struct netif* n);
  static err_t on_output(struct netif* n, struct pbuf* p);
  static err_t on_accept(void* arg, tcp_pcb* pcb, err_t err);

  lwip_peer_config config;
  eth_socket eth{"out", "in", *this};
  agenda work;
  struct netif nif {};
  counters count;
  std::function<void(const frame_ref&)> on_timeout;
  std::deque<connection> connections;
  std::deque<listener> listeners;
  std::vector<connection*> closing;  // both FINs seen, TIME_WAIT or the end awaited
  std::unordered_map<connection_key, sent_record, key_hash> sent;

 private:
  void pump();
  void on_timer(picos due);
  void observe(const frame_ref& f);

  fifo<frame_ref> queue_;
  picos free_at_ = 0;
  bool waiting_ = false;  // pump() is on the agenda
  bool started_ = false;
  bool ending_ = false;  // nothing is sent any more
  bool in_timer_ = false;
  picos armed_ = never;
};

struct lwip_peer::impl::connection final : stream {
  connection(impl& o, tcp_pcb* p, stream_user* u) : owner(o), pcb(p), user(u) {
    tcp_arg(pcb, this);
    tcp_recv(pcb, on_recv);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_err);
    if (!owner.config.nagle) tcp_nagle_disable(pcb);
    if (owner.config.keepalive) {
      ip_set_option(pcb, SOF_KEEPALIVE);
      pcb->keep_idle = static_cast<u32_t>(owner.config.keepalive / millisecond);
    }
  }
  ~connection() override {
    if (pcb) detach();
    drop_received();
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  std::size_t write(std::span<const std::uint8_t> bytes) override {
    if (!pcb || fin_wanted) return 0;
    std::size_t taken = 0;
    while (taken < bytes.size()) {
      const std::size_t n =
          std::min({bytes.size() - taken, static_cast<std::size_t>(tcp_sndbuf(pcb)), std::size_t{0xffff}});
      if (n == 0 ||
          tcp_write(pcb, bytes.data() + taken, static_cast<u16_t>(n), TCP_WRITE_FLAG_COPY) != ERR_OK)
        break;
      taken += n;
    }
    if (taken < bytes.size()) wants_room = true;
    if (taken) tcp_output(pcb);
    owner.after_lwip();
    return taken;
  }

  std::size_t read(std::span<std::uint8_t> room) override {
    std::size_t n = 0;
    while (n < room.size() && !received.empty()) {
      pbuf* p = received.front();
      const auto part = std::min(room.size() - n, static_cast<std::size_t>(p->tot_len - consumed));
      pbuf_copy_partial(p, room.data() + n, static_cast<u16_t>(part), consumed);
      n += part;
      consumed = static_cast<u16_t>(consumed + part);
      if (consumed == p->tot_len) {
        pbuf_free(p);
        received.pop_front();
        consumed = 0;
      }
    }
    if (n == 0) return 0;
    for (std::size_t told = 0; pcb && told < n;) {
      const auto part = static_cast<u16_t>(std::min(n - told, std::size_t{0xffff}));
      tcp_recved(pcb, part);
      told += part;
    }
    if (received.empty() && eof_seen) schedule();
    owner.after_lwip();
    return n;
  }

  void shutdown_write() override {
    if (fin_wanted || dead) return;
    fin_wanted = true;
    if (opened) send_fin();
  }

  void abort() override {
    if (dead) return;
    dead = true;
    drop_received();
    if (!pcb) return;
    tcp_pcb* p = pcb;
    detach();
    tcp_abort(p);
    owner.after_lwip();
  }

  void send_fin() {
    if (!pcb || fin_sent) return;
    fin_sent = true;
    tcp_shutdown(pcb, 0, 1);
    if (eof_seen) owner.closing.push_back(this);
    owner.after_lwip();
  }
  // lwIP keeps the pcb; it tells us nothing more.
  void detach() {
    tcp_arg(pcb, nullptr);
    tcp_recv(pcb, nullptr);
    tcp_sent(pcb, nullptr);
    tcp_err(pcb, nullptr);
    pcb = nullptr;
  }
  void drop_received() {
    while (!received.empty()) pbuf_free(received.pop_front());
    consumed = 0;
  }
  void schedule() {
    if (scheduled || dead) return;
    scheduled = true;
    owner.work.in(0, [this] {
      scheduled = false;
      tell();
    });
  }
  // All news for the user, in the order in which they make sense.
  void tell() {
    if (dead) return;
    if (from) {
      user = std::exchange(from, nullptr)->accept(*this);
      if (!user) abort();
      if (dead) return;
    }
    if (opened && !open_told) {
      open_told = true;
      ++owner.count.opened;
      user->on_open();
      if (dead) return;
      if (fin_wanted) send_fin();
    }
    if (error) {
      dead = true;
      drop_received();
      ++owner.count.errors;
      user->on_error(error);
      return;
    }
    if (std::exchange(readable, false)) user->on_readable();
    if (dead) return;
    if (std::exchange(writable, false)) user->on_writable();
    if (dead) return;
    if (eof_seen && !eof_told && received.empty()) {
      eof_told = true;
      user->on_eof();
      if (dead) return;
    }
    if (over && eof_told) {
      dead = true;
      ++owner.count.closed;
      user->on_closed();
    }
  }

  static err_t on_connected(void* arg, tcp_pcb*, err_t) {
    auto* c = static_cast<connection*>(arg);
    c->opened = true;
    c->schedule();
    return ERR_OK;
  }
  static err_t on_recv(void* arg, tcp_pcb*, pbuf* p, err_t) {
    auto* c = static_cast<connection*>(arg);
    if (p) {
      c->received.push_back(p);
      c->readable = true;
    } else {
      c->eof_seen = true;
      if (c->fin_sent) c->owner.closing.push_back(c);
    }
    c->schedule();
    return ERR_OK;
  }
  static err_t on_sent(void* arg, tcp_pcb*, u16_t) {
    auto* c = static_cast<connection*>(arg);
    if (std::exchange(c->wants_room, false)) {
      c->writable = true;
      c->schedule();
    }
    return ERR_OK;
  }
  static void on_err(void* arg, err_t err) {
    auto* c = static_cast<connection*>(arg);
    c->pcb = nullptr;  // lwIP frees it
    if (err == ERR_CLSD)
      c->over = true;
    else if (err == ERR_RST)
      c->error = c->opened ? "reset" : "refused";
    else
      c->error = "timed out";
    c->schedule();
  }

  impl& owner;
  tcp_pcb* pcb;
  stream_user* user;
  listener* from = nullptr;  // to be asked for the user
  fifo<pbuf*> received;
  u16_t consumed = 0;  // of the first
  const char* error = nullptr;
  bool opened = false, open_told = false;
  bool readable = false, writable = false, wants_room = false;
  bool eof_seen = false, eof_told = false;
  bool fin_wanted = false, fin_sent = false;
  bool over = false;  // both directions are shut and acknowledged
  bool dead = false;  // the last word was said
  bool scheduled = false;
};

lwip_peer::impl::impl(const lwip_peer_config& c, std::uint64_t seed, const std::string& name) : config(c) {
  static bool taken = false;
  if (taken) SC_REPORT_FATAL(report_id, "lwIP's state is global: one lwip_peer a process");
  taken = true;
  lwip_iss() = {config.iss, rng(seed, "peer/" + name + "/iss")};
  lwip_init();
  ip4_addr_t address{lwip_htonl(config.ip.v4_value())};
  ip4_addr_t mask{lwip_htonl(config.prefix ? ~0u << (32 - config.prefix) : 0u)};
  ip4_addr_t gateway{config.gateway.is_zero() ? 0 : lwip_htonl(config.gateway.v4_value())};
  netif_add(&nif, &address, &mask, &gateway, this, on_netif_init, ethernet_input);
  netif_set_default(&nif);
  if (config.ip6) {
    const ip_addr_t own = to_lwip(*config.ip6);
    netif_ip6_addr_set(&nif, 0, ip_2_ip6(&own));
    netif_ip6_addr_set_state(&nif, 0, IP6_ADDR_PREFERRED);  // no duplicate address detection
  }
}

lwip_peer::impl::~impl() {
  ending_ = true;
  connections.clear();
  netif_remove(&nif);
}

err_t lwip_peer::impl::on_netif_init(struct netif* n) {
  auto* self = static_cast<impl*>(n->state);
  n->name[0] = 'u';
  n->name[1] = 's';
  n->output = etharp_output;
  n->output_ip6 = ethip6_output;
  n->linkoutput = on_output;
  n->mtu = 1500;
  n->hwaddr_len = 6;
  std::copy(self->config.mac.begin(), self->config.mac.end(), n->hwaddr);
  n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
  if (self->config.ip6) n->flags |= NETIF_FLAG_MLD6;  // hears the groups in which neighbours ask
  return ERR_OK;
}

err_t lwip_peer::impl::on_output(struct netif* n, struct pbuf* p) {
  auto* self = static_cast<impl*>(n->state);
  if (self->ending_) return ERR_OK;
  const u16_t length = std::max<u16_t>(p->tot_len, 60);  // padded as the MAC would (IEEE 802.3 3.2.8)
  frame_ref f = frame_ref::make(length);
  pbuf_copy_partial(p, f.data(), p->tot_len, 0);
  std::memset(f.data() + p->tot_len, 0, static_cast<std::size_t>(length - p->tot_len));
  self->observe(f);
  ++self->count.frames_out;
  self->queue_.push_back(std::move(f));
  return ERR_OK;
}

void lwip_peer::impl::observe(const frame_ref& f) {
  segment_view v;
  if (!view_segment(f, v)) return;
  if (v.rst) {
    ++count.rst_sent;
    return;
  }
  if (!v.syn && !v.fin && v.payload == 0) return;
  sent_record& r =
      sent[{v.destination_ip, static_cast<std::uint32_t>(v.source_port) << 16 | v.destination_port}];
  if (v.syn && (r.iss != v.seq || r.end == 0)) {
    r.iss = v.seq;
    r.end = v.seq + 1;
    return;
  }
  const std::uint32_t end = v.seq + v.payload + (v.syn ? 1 : 0) + (v.fin ? 1 : 0);
  if (before(v.seq, r.end)) {
    const bool probe = r.c && r.c->pcb && r.c->pcb->persist_backoff > 0;
    if (!probe) {
      ++count.retransmitted_segments;
      count.retransmitted_bytes += std::min(v.payload, r.end - v.seq);
      if (in_timer_) {
        ++count.timeouts;
        if (on_timeout) on_timeout(f);
      }
    }
  }
  if (before(r.end, end)) r.end = end;
}

bool lwip_peer::impl::passes(const frame_ref& f) const {
  if (f.size() < 14) return false;
  const std::uint8_t* d = f.data();
  const bool group = d[0] & 1;
  if (!group && !std::equal(config.mac.begin(), config.mac.end(), d)) return false;
  const std::uint32_t type = get16(d + 12);
  if (type == type_arp) return true;
  // lwIP as packaged forwards what is for another station.
  if (type == type_v6)
    return config.ip6 && f.size() >= 54 &&
           (group || std::equal(config.ip6->bytes.begin(), config.ip6->bytes.end(), d + 38));
  return type == type_v4 && f.size() >= 34 && (group || get32(d + 30) == config.ip.v4_value());
}

picos lwip_peer::impl::take(frame_ref f) {
  if (!passes(f)) {
    ++count.frames_filtered;
    return now_ps();
  }
  ++count.frames_in;
  segment_view v;
  if (view_segment(f, v) && v.rst) ++count.rst_received;
  pbuf* p = pbuf_alloc(PBUF_RAW, static_cast<u16_t>(f.size()), PBUF_RAM);
  if (!p) throw std::bad_alloc();
  pbuf_take(p, f.data(), static_cast<u16_t>(f.size()));
  if (nif.input(p, &nif) != ERR_OK) pbuf_free(p);
  after_lwip();
  return now_ps();
}

void lwip_peer::impl::start() {
  started_ = true;
  netif_set_link_up(&nif);
  netif_set_up(&nif);
  nif.rs_count = 0;  // there is no router to be asked for
  after_lwip();
}

void lwip_peer::impl::listen(std::uint16_t port, std::function<stream_user*(stream&)> accept) {
  listener& l = listeners.emplace_back(listener{this, std::move(accept)});
  tcp_pcb* pcb = tcp_new_ip_type(config.ip6 ? IPADDR_TYPE_ANY : IPADDR_TYPE_V4);
  if (!pcb) throw std::bad_alloc();
  if (tcp_bind(pcb, config.ip6 ? IP_ANY_TYPE : IP4_ADDR_ANY, port) != ERR_OK)
    SC_REPORT_ERROR(report_id, "listen: the port is in use");
  tcp_bind_netif(pcb, &nif);
  pcb = tcp_listen_with_backlog(pcb, 255);
  tcp_arg(pcb, &l);
  tcp_accept(pcb, on_accept);
}

err_t lwip_peer::impl::on_accept(void* arg, tcp_pcb* pcb, err_t err) {
  if (err != ERR_OK || !pcb) return ERR_VAL;
  auto* l = static_cast<listener*>(arg);
  connection& c = l->owner->connections.emplace_back(*l->owner, pcb, nullptr);
  c.from = l;
  c.opened = true;
  const std::uint32_t ports = static_cast<std::uint32_t>(pcb->local_port) << 16 | pcb->remote_port;
  l->owner->sent[{from_lwip(pcb->remote_ip), ports}].c = &c;
  c.schedule();
  return ERR_OK;
}

lwip_peer::impl::connection& lwip_peer::impl::connect(const ip_address& remote, std::uint16_t port,
                                                      std::uint16_t local_port, stream_user& user) {
  const ip_addr_t address = to_lwip(remote);
  tcp_pcb* pcb = tcp_new_ip_type(IP_GET_TYPE(&address));
  if (!pcb) throw std::bad_alloc();
  connection& c = connections.emplace_back(*this, pcb, &user);
  if (tcp_bind(pcb, remote.is_v4() ? IP4_ADDR_ANY : IP6_ADDR_ANY, local_port) != ERR_OK)
    SC_REPORT_ERROR(report_id, "connect: the local port is in use");
  tcp_bind_netif(pcb, &nif);
  const std::uint32_t ports = static_cast<std::uint32_t>(local_port) << 16 | port;
  sent[{remote, ports}].c = &c;
  if (tcp_connect(pcb, &address, port, connection::on_connected) != ERR_OK) {
    c.detach();
    tcp_abort(pcb);
    c.error = "no route";
    c.schedule();
  }
  after_lwip();
  return c;
}

void lwip_peer::impl::after_lwip() {
  for (std::size_t i = 0; i < closing.size();) {
    connection& c = *closing[i];
    const bool finished = !c.pcb || c.pcb->state == TIME_WAIT;
    if (c.pcb && finished) {
      c.detach();
      c.over = true;
      c.schedule();
    }
    if (finished)
      closing.erase(closing.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
  }
  pump();
  if (!started_) return;
  const picos due = (now_ps() / millisecond + sys_timeouts_sleeptime()) * millisecond;
  if (due >= armed_) return;
  armed_ = due;
  work.at(due, [this, due] { on_timer(due); });
}

void lwip_peer::impl::on_timer(picos due) {
  if (due != armed_) return;
  armed_ = never;
  in_timer_ = true;
  sys_check_timeouts();
  in_timer_ = false;
  after_lwip();
}

void lwip_peer::impl::pump() {
  while (started_ && !waiting_ && !queue_.empty()) {
    if (now_ps() < free_at_) {
      waiting_ = true;
      work.at(free_at_, [this] {
        waiting_ = false;
        pump();
      });
      return;
    }
    free_at_ = eth.out->take(queue_.pop_front());
  }
}

lwip_peer::lwip_peer(const sc_core::sc_module_name& name, const lwip_peer_config& config, std::uint64_t seed)
    : sc_module(name), impl_(std::make_unique<impl>(config, seed, basename())) {}
lwip_peer::~lwip_peer() = default;

void lwip_peer::start_of_simulation() {
  impl_->start();
}
eth_socket& lwip_peer::eth() {
  return impl_->eth;
}
void lwip_peer::listen(std::uint16_t port, std::function<stream_user*(stream&)> accept) {
  impl_->listen(port, std::move(accept));
}
stream& lwip_peer::connect(const ip_address& remote, std::uint16_t port, std::uint16_t local_port,
                           stream_user& user) {
  return impl_->connect(remote, port, local_port, user);
}
void lwip_peer::set_iss(std::optional<std::uint32_t> iss) {
  lwip_iss().fixed = iss;
}

unsigned lwip_peer::connections_alive() const {
  unsigned n = 0;
  for (const tcp_pcb* p = tcp_active_pcbs; p; p = p->next) ++n;
  return n;
}
unsigned lwip_peer::time_wait() const {
  unsigned n = 0;
  for (const tcp_pcb* p = tcp_tw_pcbs; p; p = p->next) ++n;
  return n;
}
void lwip_peer::expire_time_wait() {
  while (tcp_tw_pcbs) tcp_abort(tcp_tw_pcbs);
}
const lwip_peer::counters& lwip_peer::count() const {
  return impl_->count;
}
void lwip_peer::on_timeout(std::function<void(const frame_ref&)> f) {
  impl_->on_timeout = std::move(f);
}

}  // namespace understudy::tb
