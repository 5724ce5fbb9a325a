#include "tb/monitors/connection_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace understudy::tb {

connection_watch::connection_watch(host_memory& memory, const posted_buffers& posted, unsigned adapters,
                                   std::vector<ip_address> host_ips, picos probe_deadline,
                                   const event_history& history, segment_reader& segments)
    : memory_(memory),
      posted_(posted),
      adapters_(adapters),
      host_ips_(std::move(host_ips)),
      probe_deadline_(probe_deadline),
      history_(history),
      segments_(segments),
      fenced_(adapters),
      unsilenced_(adapters) {}

std::string connection_watch::name(const connection& c, const wire_segment& s) const {
  const wire_connection w = is_hosts(s.source_ip) ? to_peer(s) : from_peer(s);
  return fmt::format("connection {:#x} (port {} to {}:{})", c.id, w.host_port, text_of(w.peer), w.peer_port);
}

bool connection_watch::is_hosts(const ip_address& ip) const {
  return std::find(host_ips_.begin(), host_ips_.end(), ip) != host_ips_.end();
}

connection_watch::connection* connection_watch::by_cid(std::uint32_t raw) {
  const auto k = key_of_.find(raw);
  if (k == key_of_.end()) return nullptr;
  const auto c = connections_.find(k->second);
  return c == connections_.end() || c->second.id != raw ? nullptr : &c->second;
}

void connection_watch::on_event(const event& e) {
  if (e.unit >= adapters_) return;
  switch (e.kind) {
    case event_kind::frame_out:
      if (const auto& s = segments_.of(e)) frame_out(e, *s);
      break;
    case event_kind::frame_in:
      if (const auto& s = segments_.of(e); s && is_hosts(s->destination_ip) && checksums_hold(e.data))
        frame_in(e, *s);
      break;
    case event_kind::write_visible:
      payload_visible(e);
      break;
    case event_kind::fault:
      if (e.a == unsilenced_fault) unsilenced_[e.unit] = true;
      break;
    default:
      break;
  }
}

// ---------------------------------------------------------------- the wire

void connection_watch::begin(connection& c, const peers_syn& syn, std::uint16_t port) {
  ports_[port].half_open += c.over || !c.syn_in || c.peer_ack_known;
  c = connection{};
  c.syn_in = true;
  c.irs = syn.seq;
  c.scale_in = syn.scales;
  c.peer_scale = syn.scale;
}

void connection_watch::follow(connection& c, seq32 ack, std::uint16_t port) {
  if (c.other_syn && ack == c.other_syn->seq + 1) begin(c, peers_syn(*c.other_syn), port);
}

void connection_watch::frame_in(const event& e, const wire_segment& s) {
  const wire_connection k = from_peer(s);
  if (s.syn && !s.has_ack) {  // a new incarnation, unless it is the SYN that we know
    connection& c = connections_[k];
    const peers_syn syn{s.seq, s.has_wscale, std::min<std::uint8_t>(s.wscale, 14)};
    if (c.over || !(c.syn_in && c.irs == s.seq)) {
      if (!c.over && c.syn_in && c.syn_out) {  // the host goes on with the old one until it says otherwise
        c.other_syn = syn;
        return;
      }
      begin(c, syn, s.destination_port);
    }
  }
  const auto it = connections_.find(k);
  if (it == connections_.end()) return;
  connection& c = it->second;
  if (s.syn) {
    c.syn_in = true;
    c.irs = s.seq;
    c.scale_in = s.has_wscale;
    c.peer_scale = std::min<std::uint8_t>(s.wscale, 14);
  }
  if (s.fin && !c.fin_in) {
    c.fin_in = true;
    c.fin_seq = s.seq + s.payload_length;
  }
  c.cause = c.cause || s.rst;
  // A half-open connection ends here; the host may hear of it later than of the next SYN, or not at all.
  if (s.rst && c.syn_in && !c.established && s.seq == c.irs + 1) c.over = true;
  if (!s.has_ack || s.rst || !c.syn_out) return;
  if (s.ack.after(c.highest_sent)) return;  // of something never sent: the engine judges it, not us
  heard(s, c, c.peer_ack_known && s.ack.after(c.peer_ack));
  if (auto& open = ports_[s.destination_port].half_open; !c.peer_ack_known && open) --open;
  if (!c.peer_ack_known || s.ack.after(c.peer_ack)) c.peer_ack = s.ack;
  const std::uint32_t window = static_cast<std::uint32_t>(s.window)
                               << (!s.syn && c.scale_in && c.scale_out ? c.peer_scale : 0);
  const seq32 edge = s.ack + window;
  if (!c.peer_ack_known || edge.after(c.peer_edge)) c.peer_edge = edge;
  c.peer_ack_known = true;
  look_at_peers_window(c, e.at);
}

void connection_watch::frame_out(const event& e, const wire_segment& s) {
  if (fenced_[e.unit] && unsilenced_[e.unit]) return;  // into a port that is down
  if (silent_ == static_cast<int>(e.unit))
    dma3_.violated(e.number, e.at,
                   fmt::format("adapter {} sends port {} to {} before it serves",
                               static_cast<char>('A' + e.unit), s.source_port, s.destination_port));
  const wire_connection k = to_peer(s);
  if (s.syn && !s.has_ack) {
    connection& c = connections_[k];
    if (c.over || !(c.syn_out && c.iss == s.seq)) c = connection{};
  }
  const auto it = connections_.find(k);
  if (it == connections_.end()) return;
  connection& c = it->second;
  if (s.syn && s.has_ack) follow(c, s.ack, s.source_port);
  c.cause = c.cause || s.rst;
  if (s.rst) return;
  if (c.owner != e.unit) {
    if (c.owner >= 0 && !fenced_[static_cast<std::size_t>(c.owner)])
      dma3_.violated(e.number, e.at,
                     fmt::format("{}: adapter {} sends while adapter {} is not fenced", name(c, s),
                                 static_cast<char>('A' + e.unit), static_cast<char>('A' + c.owner)));
    c.owner = e.unit;
  } else {
    dma3_.checked();
  }
  if (s.syn) {
    if (c.syn_out && s.seq != c.iss && may_precede_commit(s, c)) c.syn_out = false;  // another slot's cookie
    if (c.syn_out && s.seq != c.iss)
      tx3_.violated(e.number, e.at, fmt::format("{}: SYN sent again with another ISS", name(c, s)));
    if (!c.syn_out) {
      const auto [last, first] = last_iss_.try_emplace(k, s.seq);
      if (!first && last->second == s.seq) {
        tx6_.violated(e.number, e.at,
                      fmt::format("{}: the tuple opens again with ISS {}", name(c, s), s.seq.raw));
      } else if (!first) {
        tx6_.checked();
      }
      last->second = s.seq;
      c.iss = s.seq;
      c.highest_sent = s.seq + 1;
      if (c.pieces.empty()) c.posted_end = s.seq + 1;
    }
    c.syn_out = true;
    c.scale_out = s.has_wscale;
    c.our_scale = s.wscale;
  }
  if (!c.syn_out) return;
  check_progress(e, s, c);
  if (s.has_ack) check_ack(e, s, c);
  if (!s.syn) check_data(e, s, c);
  if (s.tsval) {
    if (c.ts_known && static_cast<std::int32_t>(*s.tsval - c.tsval) < 0) {
      tx5_.violated(e.number, e.at, fmt::format("{}: TSval {} after {}", name(c, s), *s.tsval, c.tsval));
    } else {
      tx5_.checked();
    }
    c.ts_known = true;
    c.tsval = *s.tsval;
  }
}

void connection_watch::check_ack(const event& e, const wire_segment& s, connection& c) {
  if (c.is_protected || (!c.any_commit && !unprotected_ports_.count(s.source_port))) {
    if (!may_precede_commit(s, c) && (!c.any_commit || s.ack.after(c.committed))) {
      rx1_.violated(
          e.number, e.at,
          c.any_commit
              ? fmt::format("{}: ACK {} leaves, the host holds everything below {}: {} bytes too many",
                            name(c, s), s.ack.raw, c.committed.raw, s.ack.minus(c.committed))
              : fmt::format("{}: ACK {} leaves before any record is visible", name(c, s), s.ack.raw));
    } else {
      rx1_.checked();
    }
  }
  if (c.fin_in && s.ack == c.fin_seq + 1) {
    if (c.fin_committed || !c.is_protected) {
      rx7_.checked();
    } else {
      rx7_.violated(e.number, e.at,
                    fmt::format("{}: the FIN is acknowledged before its record is visible", name(c, s)));
    }
  }
  if (c.ack_sent && s.ack.before(c.highest_ack)) {
    rx5_.violated(e.number, e.at,
                  fmt::format("{}: ACK {} after {}", name(c, s), s.ack.raw, c.highest_ack.raw));
  } else {
    rx5_.checked();
    c.highest_ack = s.ack;
    c.ack_sent = true;
  }
  const std::uint32_t scale = !s.syn && c.scale_in && c.scale_out ? c.our_scale : 0;
  const seq32 edge = s.ack + (static_cast<std::uint32_t>(s.window) << scale);
  if (c.edge_known && edge.before(c.edge) &&
      c.edge.minus(edge) >= (1u << (c.scale_in && c.scale_out ? c.our_scale : 0))) {
    rx6_.violated(e.number, e.at,
                  fmt::format("{}: the right edge shrinks from {} to {}", name(c, s), c.edge.raw, edge.raw));
  } else if (c.grant_known && edge.after(c.grant) && s.window != 0) {
    rx6_.violated(
        e.number, e.at,
        fmt::format("{}: the right edge {} lies beyond the grant {}", name(c, s), edge.raw, c.grant.raw));
  } else {
    rx6_.checked();
  }
  if (!c.edge_known || edge.after(c.edge)) c.edge = edge;
  c.edge_known = true;
  owe_window(c, e.at);
}

// An ACK of nothing but the SYN, of a connection that the host need not know yet: by its listener's policy,
// or a cookie under a flood, which the wire shows.
bool connection_watch::may_precede_commit(const wire_segment& s, const connection& c) const {
  if (c.any_commit || !c.syn_in || s.ack != c.irs + 1) return false;
  const auto p = ports_.find(s.source_port);
  if (p == ports_.end()) return false;
  const port_terms& t = p->second;
  return t.commit != US_COMMIT_BEFORE_SYNACK || (s.syn && t.cookies_above && t.half_open >= t.cookies_above);
}

void connection_watch::check_data(const event& e, const wire_segment& s, connection& c) {
  const std::uint32_t taken = s.payload_length + (s.fin ? 1u : 0u);
  if (taken == 0) return;
  const seq32 end = s.seq + taken;
  const seq32 bound = c.posted_end + (c.fin_posted ? 1u : 0u);
  if (end.after(bound)) {
    tx3_.violated(
        e.number, e.at,
        fmt::format("{}: bytes up to {} leave, the host knows of {}", name(c, s), end.raw, bound.raw));
  } else {
    tx3_.checked();
  }
  if (s.payload_length > 1 && c.peer_ack_known) {
    const seq32 data_end = s.seq + s.payload_length;
    if (data_end.after(c.peer_edge)) {
      tx4_.violated(e.number, e.at,
                    fmt::format("{}: data up to {} leaves, the peer's window ends at {}", name(c, s),
                                data_end.raw, c.peer_edge.raw));
    } else {
      tx4_.checked();
    }
  }
  // Every byte as the host posted it, whichever adapter sends it and however often.
  seq32 at = s.seq;
  std::uint32_t left = s.payload_length;
  for (const send_piece& p : c.pieces) {
    if (left == 0) break;
    const seq32 piece_end = p.begin + p.length;
    if (at.before(p.begin) || !at.before(piece_end)) continue;
    const std::uint32_t n = std::min(left, piece_end.minus(at));
    const std::uint8_t* posted = memory_.at(p.at + at.minus(p.begin), n);
    if (!posted || std::memcmp(posted, s.payload + (s.payload_length - left), n) != 0) {
      tx2_.violated(e.number, e.at,
                    fmt::format("{}: bytes at {} differ from what the host posted", name(c, s), at.raw));
      return;
    }
    tx2_.checked();
    at += n;
    left -= n;
  }
  if (end.after(c.highest_sent)) c.highest_sent = end;
}

// ---------------------------------------------------------------- host memory

void connection_watch::payload_visible(const event& e) {
  const auto* posted = posted_.holding(e.a);
  const auto it = posted ? buffers_.find(posted->second.name.raw) : buffers_.end();
  if (it == buffers_.end()) return;
  buffer& b = it->second;
  if (b.adapter != e.unit) return;  // I-DMA-1 judges it
  const auto from = static_cast<std::uint32_t>(e.a - b.base);
  if (from <= b.visible) b.visible = std::max(b.visible, static_cast<std::uint32_t>(from + e.b));
}

void connection_watch::learn(const us_record& r) {
  wire_connection k{{}, r.u.conn.peer_port, r.u.conn.local_port};
  std::copy_n(r.u.conn.peer_ip, 16, k.peer.bytes.begin());
  key_of_[r.cid] = k;
  connection& c = connections_[k];
  follow(c, seq32{r.rcv_nxt}, r.u.conn.local_port);
  const bool first = c.id != r.cid;
  c.id = r.cid;
  c.is_protected = r.u.conn.conn & US_CONN_PROTECTED;
  if (first) {
    c.committed = seq32{r.rcv_nxt};
    c.any_commit = true;
    if (!c.syn_out) c.posted_end = seq32{r.snd_una} + (r.type == US_REC_EMBRYO ? 1u : 0u);
  }
  if (r.type == US_REC_ESTABLISHED) c.established = true;
  if (r.snd_wnd != US_NO_BUF) {  // the pool buffer that came with it
    const seq32 edge = seq32{r.rcv_nxt} + r.u.conn.pool_kib * 1024u;
    if (!c.grant_known || edge.after(c.grant)) c.grant = edge;
    c.grant_known = true;
    const auto b = buffers_.find(r.snd_wnd);
    if (b != buffers_.end()) b->second.owner = r.cid;
  }
}

void connection_watch::on_record_visible(unsigned adapter, const us_record& r, const event& e) {
  if (r.type == US_REC_EMBRYO || r.type == US_REC_ESTABLISHED) learn(r);
  connection* c = by_cid(r.cid);
  if (!c) return;
  if (r.type == US_REC_REFUSED || r.type == US_REC_ABORTED) c->cause = true;
  if (r.type == US_REC_ABORTED) c->aborted = true;
  if (r.type == US_REC_REFUSED || r.type == US_REC_CREDIT || names_wild(adapter, r)) return;
  if (r.type == US_REC_DATA) {
    if (c->established) {
      rx8_.checked();
    } else {
      rx8_.violated(
          e.number, e.at,
          fmt::format("record {} tells data of connection {:#x}, which was not announced", r.number, r.cid));
    }
  }
  if (r.type == US_REC_DATA && r.u.data.len) {
    const buffer& b = buffers_.find(r.u.data.buf_id)->second;
    if (b.owner != r.cid) {
      dma5_.violated(e.number, e.at,
                     fmt::format("connection {:#x} has bytes in buffer {} of connection {:#x}", r.cid,
                                 r.u.data.buf_id, b.owner));
    } else {
      dma5_.checked();
    }
    if (r.u.data.off + r.u.data.len > b.visible) {
      rx2_.violated(
          e.number, e.at,
          fmt::format("record {} of connection {:#x} covers bytes up to {} of buffer {}, {} are visible",
                      r.number, r.cid, r.u.data.off + r.u.data.len, r.u.data.buf_id, b.visible));
      return;  // its bytes are not committed: I-RX-1 goes on by the truth
    }
    rx2_.checked();
  }
  const seq32 rcv_nxt{r.rcv_nxt};
  if (rcv_nxt.after(c->committed)) c->committed = rcv_nxt;
  c->any_commit = true;
  if (r.type == US_REC_DATA && r.flags & US_REC_FLAG_FIN) c->fin_committed = true;
  if (r.type != US_REC_EMBRYO) {
    const seq32 una{r.snd_una};
    if (!c->recorded || una.after(c->recorded_una)) c->recorded_una = una;
    c->recorded = true;
  }
}

// ---------------------------------------------------------------- the driver

void connection_watch::on_descriptor(unsigned adapter, const us_idt_entry& d, std::uint64_t event,
                                     picos now) {
  switch (d.opcode) {
    case US_OP_POST_RX:
    case US_OP_POST_POOL: {
      const std::uint64_t at = static_cast<std::uint64_t>(d.u.rx.iova_hi) << 32 | d.u.rx.iova_lo;
      buffer& b = buffers_[d.u.rx.buf_id];
      b.base = at - d.u.rx.base_off;
      b.visible = d.u.rx.base_off;
      b.end = d.u.rx.base_off + d.u.rx.len;
      b.adapter = static_cast<int>(adapter);
      b.owner = d.opcode == US_OP_POST_RX ? d.cid : cid::none_raw;
      if (d.opcode == US_OP_POST_RX)
        if (connection* c = by_cid(d.cid)) {
          const seq32 edge{d.u.rx.edge};
          if (!c->grant_known || edge.after(c->grant)) c->grant = edge;
          c->grant_known = true;
          owe_window(*c, history_.now());
        }
      break;
    }
    case US_OP_LISTEN:
      if (!(d.flags & US_CONN_PROTECTED)) unprotected_ports_.insert(d.u.listen.port);
      ports_[d.u.listen.port].commit = d.u.listen.commit;
      ports_[d.u.listen.port].cookies_above = d.u.listen.cookies_above;
      break;
    case US_OP_CONNECT:
      if (!(d.flags & US_CONN_PROTECTED)) unprotected_ports_.insert(d.u.connect.local_port);
      break;
    case US_OP_ABORT:
      if (connection* c = by_cid(d.cid)) c->cause = true;
      break;
    case US_OP_CLOSE:
      if (connection* c = by_cid(d.cid)) c->fin_posted = true;
      break;
    case US_OP_RESTORE: {
      connection* c = by_cid(d.cid);
      if (!c) break;
      c->established = c->established || d.u.restore.state >= US_TCP_ESTABLISHED;
      const seq32 rcv_nxt{d.u.restore.rcv_nxt};
      if (rcv_nxt != c->committed || (c->ack_sent && rcv_nxt.before(c->highest_ack))) {
        rx4_.violated(
            event, now,
            fmt::format("connection {:#x} is restored at {}, committed up to {}, acknowledged up to {}",
                        d.cid, rcv_nxt.raw, c->committed.raw, c->highest_ack.raw));
      } else {
        rx4_.checked();
      }
      if (c->syn_out && seq32{d.u.restore.snd_max}.before(c->highest_sent)) {
        tx3_.violated(event, now,
                      fmt::format("connection {:#x} is restored with snd_max {}, bytes up to {} were sent",
                                  d.cid, d.u.restore.snd_max, c->highest_sent.raw));
      } else {
        tx3_.checked();
      }
      break;
    }
    default:
      break;
  }
}

void connection_watch::on_take_back(buf_id b) {
  buffers_.erase(b.raw);
}

void connection_watch::on_send_posted(cid id, seq32 seq_end, iova at, std::uint32_t length) {
  connection* c = by_cid(id.raw);
  if (!c) return;
  const seq32 begin = seq_end - length;
  while (!c->pieces.empty() && (c->pieces.back().begin + c->pieces.back().length).after(begin)) {
    send_piece& last = c->pieces.back();  // posted again, to a substitute
    if (last.begin.before(begin)) {
      last.length = begin.minus(last.begin);
      break;
    }
    c->pieces.pop_back();
  }
  c->pieces.push_back({begin, length, at.raw});
  c->posted_end = seq_end;
  look_at_peers_window(*c, history_.now());
}

void connection_watch::on_send_freed(cid id, seq32 below, std::uint64_t event, picos now) {
  connection* c = by_cid(id.raw);
  if (!c) return;
  if (c->pieces.empty() || !below.after(c->pieces.front().begin)) return;
  if (!c->recorded || below.after(c->recorded_una) || !c->peer_ack_known || below.after(c->peer_ack)) {
    tx1_.violated(event, now,
                  fmt::format("connection {:#x}: bytes below {} are given up, acknowledged are {}", id.raw,
                              below.raw, c->peer_ack_known ? c->peer_ack.raw : 0));
  } else {
    tx1_.checked();
  }
  std::size_t gone = 0;
  while (gone < c->pieces.size() && (c->pieces[gone].begin + c->pieces[gone].length).before_eq(below)) ++gone;
  c->pieces.erase(c->pieces.begin(), c->pieces.begin() + static_cast<std::ptrdiff_t>(gone));
  if (!c->pieces.empty() && below.after(c->pieces.front().begin)) {
    send_piece& p = c->pieces.front();
    const std::uint32_t cut = below.minus(p.begin);
    p = {below, p.length - cut, p.at + cut};
  }
}

void connection_watch::on_recovery(bool under_way, unsigned substitute) {
  silent_ = under_way ? static_cast<int>(substitute) : -1;
}

void connection_watch::on_takeover(unsigned from) {
  fenced_[from] = true;
}

std::vector<const monitor*> connection_watch::monitors() const {
  return {&rx1_, &rx2_, &rx4_, &rx5_, &rx6_,  &rx7_,  &rx8_, &tx1_, &tx2_,
          &tx3_, &tx4_, &tx5_, &tx6_, &dma3_, &dma5_, &lv3_, &lv5_, &ob2_};
}

}  // namespace understudy::tb
