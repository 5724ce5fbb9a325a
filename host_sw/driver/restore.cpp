#include "host_sw/driver/restore.h"

#include <cstring>

namespace understudy::host {

us_idt_entry descriptor(us_opcode opcode, std::uint32_t cid) {
  us_idt_entry e{};
  e.opcode = static_cast<std::uint8_t>(opcode);
  e.cid = cid;
  return e;
}

us_tcp_state derive_state(const connection& c) {
  if (c.phase == conn_phase::gone) return US_TCP_CLOSED;
  if (c.phase == conn_phase::connecting) return US_TCP_SYN_SENT;
  if (c.phase == conn_phase::embryo && c.h_una == c.iss) return US_TCP_SYN_RCVD;
  if (!c.fin_tx) return c.fin_rx ? US_TCP_CLOSE_WAIT : US_TCP_ESTABLISHED;
  const bool fin_acked = c.h_una == c.h_post_end;
  if (!c.fin_rx) return fin_acked ? US_TCP_FIN_WAIT_2 : US_TCP_FIN_WAIT_1;
  if (fin_acked) return US_TCP_TIME_WAIT;
  return c.fin_tx_first ? US_TCP_CLOSING : US_TCP_LAST_ACK;
}

us_idt_entry restore_descriptor(const connection& c, const driver_mutants& mutants) {
  us_idt_entry e = descriptor(US_OP_RESTORE, c.id.raw);
  auto& r = e.u.restore;
  std::memcpy(r.peer_ip, c.key.peer_ip.data(), sizeof r.peer_ip);
  r.local_port = c.key.local_port;
  r.peer_port = c.key.peer_port;
  r.addr_index = c.key.addr_index;
  r.state = static_cast<std::uint8_t>(derive_state(c));
  r.conn = c.conn_bits;
  r.wscale = c.wscale;
  r.mss = c.mss;
  r.fin = static_cast<std::uint16_t>((c.fin_tx ? US_FIN_TX : 0u) | (c.fin_rx ? US_FIN_RX : 0u));
  r.rcv_nxt = mutants.stale_rcv_nxt ? c.irs_next.raw : c.h_rcv.raw;
  r.snd_una = c.h_una.raw;
  r.snd_max = mutants.snd_max_reset ? c.h_una.raw : c.h_post_end.raw;
  r.rcv_adv = c.edge.raw;
  r.iss = c.iss.raw;
  r.group = c.group;
  r.memory = memory_terms(c.options).memory;
  return e;
}

us_memory_terms memory_terms(const connection_options& o) {
  us_memory_terms t{};
  t.process = o.process;
  t.set = o.set;
  t.priority_class = static_cast<std::uint8_t>((o.priority & 15) | o.size_class << 4);
  t.memory = static_cast<std::uint8_t>((o.direct_receive ? US_MEM_DIRECT : 0u) |
                                       (o.expedite ? US_MEM_EXPEDITE : 0u));
  return t;
}

us_idt_entry post_rx_descriptor(const connection& c, buf_id id, std::uint64_t buffer_iova,
                                std::uint32_t committed, std::uint32_t len, seq32 edge) {
  us_idt_entry e = descriptor(US_OP_POST_RX, c.id.raw);
  const std::uint64_t at = buffer_iova + committed;
  e.u.rx.iova_lo = static_cast<std::uint32_t>(at);
  e.u.rx.iova_hi = static_cast<std::uint32_t>(at >> 32);
  e.u.rx.len = len - committed;
  e.u.rx.buf_id = id.raw;
  e.u.rx.base_off = committed;
  e.u.rx.edge = edge.raw;
  return e;
}

us_idt_entry group_descriptor(const group_config& g, std::uint8_t index) {
  us_idt_entry e = descriptor(US_OP_SET_GROUP, US_NO_CID);
  auto& d = e.u.group;
  const auto term = [&d](bool given, std::uint16_t bit) {
    if (given) d.terms = static_cast<std::uint16_t>(d.terms | bit);
  };
  d.index = index;
  d.lender = g.borrow ? 0 : US_NO_GROUP;
  term(g.local_port.has_value(), US_TERM_LOCAL_PORT);
  term(g.local_prefix != 0, US_TERM_LOCAL_PREFIX);
  term(g.remote_prefix != 0, US_TERM_REMOTE_PREFIX);
  term(g.vlan.has_value(), US_TERM_VLAN);
  term(g.dscp.has_value(), US_TERM_DSCP);
  term(g.process.has_value(), US_TERM_PROCESS);
  term(g.set.has_value(), US_TERM_SET);
  term(g.priority.has_value(), US_TERM_PRIORITY);
  term(g.size_class.has_value(), US_TERM_SIZE_CLASS);
  d.local_port = g.local_port.value_or(0);
  d.vlan = g.vlan.value_or(0);
  d.dscp = g.dscp.value_or(0);
  d.process = g.process.value_or(0);
  d.set = g.set.value_or(0);
  d.priority_class = static_cast<std::uint8_t>((g.priority.value_or(0) & 15) | g.size_class.value_or(0) << 4);
  d.local_prefix = g.local_prefix;
  d.remote_prefix = g.remote_prefix;
  d.quota = g.quota;
  std::memcpy(d.local_ip, g.local_ip, sizeof d.local_ip);
  std::memcpy(d.remote_ip, g.remote_ip, sizeof d.remote_ip);
  return e;
}

us_idt_entry send_descriptor(const connection& c, const send_range& r) {
  us_idt_entry e = descriptor(US_OP_SEND, c.id.raw);
  e.u.send.iova_lo = static_cast<std::uint32_t>(r.iova);
  e.u.send.iova_hi = static_cast<std::uint32_t>(r.iova >> 32);
  e.u.send.len = r.len;
  e.u.send.seq_end = r.end.raw;
  return e;
}

us_idt_entry close_descriptor(const connection& c) {
  us_idt_entry e = descriptor(US_OP_CLOSE, c.id.raw);
  e.u.send.seq_end = c.h_post_end.raw;
  return e;
}

us_idt_entry connect_descriptor(const connection& c) {
  us_idt_entry e = descriptor(US_OP_CONNECT, US_NO_CID);
  if (c.protected_connection()) e.flags = US_CONN_PROTECTED;
  if (c.options.urgent) e.flags |= US_LISTEN_URGENT;
  std::memcpy(e.u.connect.peer_ip, c.key.peer_ip.data(), sizeof e.u.connect.peer_ip);
  e.u.connect.local_port = c.key.local_port;
  e.u.connect.peer_port = c.key.peer_port;
  e.u.connect.addr_index = c.key.addr_index;
  e.u.connect.iss = c.iss.raw;
  e.u.connect.memory = memory_terms(c.options);
  return e;
}

us_idt_entry abort_descriptor(const connection& c) {
  return descriptor(US_OP_ABORT, c.id.raw);
}

us_idt_entry options_descriptor(const connection& c) {
  const connection_tuning& t = c.options.tuning;
  us_idt_entry e = descriptor(US_OP_SET_OPTIONS, c.id.raw);
  e.u.set_options.options = (t.nagle ? US_OPT_NAGLE : 0u) | (t.keepalive ? US_OPT_KEEPALIVE : 0u) |
                            (c.options.expedite ? US_OPT_EXPEDITE : 0u) |
                            (c.options.direct_receive ? US_OPT_DIRECT : 0u);
  e.u.set_options.keepalive_idle_s = t.keepalive_idle_s;
  return e;
}

}  // namespace understudy::host
