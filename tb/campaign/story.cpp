#include "tb/campaign/story.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "model/abi/understudy_abi.h"
#include "model/pcie/tlp.h"
#include "tb/monitors/tx_register.h"
#include "tb/platform/configure.h"
#include "tb/platform/simulation.h"

namespace understudy::tb {

namespace {

constexpr std::size_t deeds_shown = 4;
constexpr std::size_t connections_shown = 4;

double us(picos t) {
  return static_cast<double>(t) / 1e6;
}

std::string plural(std::uint64_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string labelled(const char* label, const std::string& text) {
  return fmt::format("{:<13}{}", label, text);
}

// What an event of an adapter means; empty: not worth telling.
std::string in_words(const event& e) {
  const auto length = static_cast<std::uint32_t>(e.b);
  switch (e.kind) {
    case event_kind::frame_out:
    case event_kind::frame_in: {
      const auto s = read_segment(e.data, e.length);
      const bool out = e.kind == event_kind::frame_out;
      if (!s) return out ? "sent a frame that is no TCP" : "heard a frame that is no TCP";
      const std::uint16_t peer = out ? s->destination_port : s->source_port;
      std::string what = s->payload_length ? plural(s->payload_length, "byte") : std::string("an ACK");
      if (s->syn) what = s->has_ack ? "a SYN-ACK" : "a SYN";
      if (s->fin) what += s->payload_length ? " and FIN" : " with FIN";
      if (s->rst) what = "a reset";
      return fmt::format("{} {} {} {}", out ? "sent" : "received", what, out ? "to" : "from", peer);
    }
    case event_kind::tlp_up:
      switch (static_cast<tlp_type>(e.b >> 32)) {
        case tlp_type::memory_read:
          return length ? fmt::format("asked for {} of host memory", plural(length, "byte"))
                        : std::string("asked whether its writes have landed");
        case tlp_type::memory_write:
          return fmt::format("put a write of {} on the bus", plural(length, "byte"));
        case tlp_type::message:
          return "signalled an error to the root port";
        default:
          return {};
      }
    case event_kind::tlp_down:
      return static_cast<tlp_type>(e.b >> 32) == tlp_type::completion_data
                 ? length ? fmt::format("got {} of host memory", plural(length, "byte"))
                          : std::string("learnt that its writes have landed")
                 : std::string();
    case event_kind::write_visible:
      return e.length == sizeof(us_record) ? "had a commit record become visible to the host"
                                           : fmt::format("had {} land in host memory", plural(e.b, "byte"));
    case event_kind::mmio_write:
      if (const auto queue = tx_doorbell_at(e.a))
        return fmt::format("heard the doorbell of transmit queue {}: new frames", *queue);
      return e.a == US_REG_IDT_TAIL   ? "heard the doorbell: new descriptors"
             : e.a == US_REG_ODT_HEAD ? "was told how far records are read"
                                      : "had a register written";
    case event_kind::mmio_read:
      return "answered a register read";
    case event_kind::interrupt:
      return "had its interrupt reach the host";
    case event_kind::timer:
      return "had a protocol timer fire";
    case event_kind::engine_step:
      return "changed a connection's state";
    default:
      return {};
  }
}

}  // namespace

story::story(simulation& s) : simulation_(s), deeds_(s.parts().main.slots.size()) {}

void story::on_event(const event& e) {
  if (e.kind == event_kind::fault) return struck(e);
  if (e.kind == event_kind::recovery_step) return step(e);
  if (e.unit >= deeds_.size()) return;
  if (!first_struck_) remember(e);
  if (e.kind == event_kind::frame_in || e.kind == event_kind::frame_out) segment(e);
}

void story::remember(const event& e) {
  const std::string what = in_words(e);
  if (what.empty()) return;
  std::deque<deed>& all = deeds_[e.unit];
  if (!all.empty() && all.back().what == what) {
    ++all.back().times;
    all.back().at = e.at;
    all.back().number = e.number;
    return;
  }
  all.push_back({e.number, e.at, what});
  if (all.size() > deeds_shown) all.pop_front();
}

void story::segment(const event& e) {
  const auto s = read_segment(e.data, e.length);
  if (!s || s->rst) return;
  const bool out = e.kind == event_kind::frame_out;
  const key k = out ? key{s->source_port, s->destination_port} : key{s->destination_port, s->source_port};
  conversation& c = conversations_[k];
  const seq32 end = s->end();
  const bool after = serving_ && e.unit == *serving_ && c.alive;
  if (out) {
    const bool news = !c.said || end.after(*c.said);
    if (after && s->payload_length) {
      const std::uint32_t old = !news                    ? s->payload_length
                                : s->seq.before(*c.said) ? c.said->minus(s->seq)
                                                         : 0;
      c.resent += std::min(old, s->payload_length);
      if (news && !c.first_out) c.first_out = e.at;
    }
    if (news) c.said = end;
    return;
  }
  if (after && s->payload_length) {
    const std::uint32_t below = s->seq.before(c.committed) ? c.committed.minus(s->seq) : 0;
    c.duplicate += std::min(below, s->payload_length);
    if (c.heard && s->seq.before(*c.heard)) c.again += std::min(c.heard->minus(s->seq), s->payload_length);
    if (end.after(c.committed) && !c.first_in) c.first_in = e.at;
  }
  if (!c.heard || end.after(*c.heard)) c.heard = end;
}

story::snapshot story::look() const {
  const host_side& h = simulation_.parts().main;
  snapshot n;
  n.at = now_ps();
  for (const host::shadow_facts& f : h.driver->shadows()) {
    ++n.connections;
    const std::uint32_t open = f.h_post_end.minus(f.h_una);
    n.unacknowledged += open;
    n.busy += open != 0;
    n.received += f.h_rcv.minus(f.facts.rcv_nxt);
  }
  n.records = h.driver->counters().records;
  n.restored = h.driver->counters().restored;
  n.held = simulation_.parts().fabric->count().held;
  n.released = simulation_.parts().fabric->count().released;
  return n;
}

void story::struck(const event& e) {
  strikes_.emplace_back(e.unit, e.at);
  if (first_struck_) return;
  first_struck_ = e.unit;
  if (e.unit < deeds_.size()) last_deeds_ = deeds_[e.unit];
  at_fault_ = look();
}

void story::step(const event& e) {
  using enum host::recovery_state;
  switch (static_cast<host::recovery_state>(e.a)) {
    case draining:
      at_drain_ = look();
      break;
    case rebuilding:
      after_drain_ = look();
      break;
    case running: {
      at_running_ = look();
      const bool first = !serving_;
      serving_ = static_cast<unsigned>(e.b);
      for (auto& [k, c] : conversations_) c.alive = false;
      for (const host::shadow_facts& f : simulation_.parts().main.driver->shadows()) {
        conversation& c = conversations_[{f.facts.local.port, f.facts.peer.port}];
        c.alive = true;
        c.committed = f.h_rcv;
        if (first && c.heard && c.heard->after(f.h_rcv)) c.lost = c.heard->minus(f.h_rcv);
      }
      break;
    }
    default:
      break;
  }
}

std::vector<std::string> story::lines(const run_result& r) const {
  std::vector<std::string> t;
  if (!first_struck_) return {labelled("fault", "its event was never reached: nothing was struck")};
  const picos zero = strikes_.front().second;
  const std::string dead = adapter_name(*first_struck_);
  for (std::size_t i = 0; i < last_deeds_.size(); ++i) {
    const deed& d = last_deeds_[i];
    t.push_back(labelled(i ? "" : ("before: " + dead).c_str(),
                         fmt::format("{:8.3f} us before, event {}: {}{}", us(zero - d.at), d.number, d.what,
                                     d.times > 1 ? fmt::format(" ({} times)", d.times) : "")));
  }
  std::string struck;
  for (const auto& [unit, at] : strikes_)
    struck += fmt::format("{}{} at {:.3f} us", struck.empty() ? "" : ", ", adapter_name(unit), us(at));
  t.push_back(labelled("fault", struck));
  t.push_back(labelled("host held", fmt::format("{}; {} that no peer has acknowledged, on {} of them",
                                                plural(at_fault_.connections, "connection"),
                                                plural(at_fault_.unacknowledged, "byte"), at_fault_.busy)));
  std::uint64_t lost = 0;
  std::uint64_t losers = 0;
  for (const auto& [k, c] : conversations_) {
    lost += c.lost;
    losers += c.lost != 0;
  }
  t.push_back(
      labelled("lost", lost ? fmt::format("{} of {} had reached {} and no commit record: never acknowledged",
                                          plural(lost, "byte"), plural(losers, "connection"), dead)
                            : fmt::format("nothing that had reached {}: the host had it all", dead)));
  if (r.failovers.empty()) t.push_back(labelled("recovery", "none was needed"));
  for (std::size_t i = 0; i + 1 < r.failovers.size(); ++i) {
    const failover_result& f = r.failovers[i];
    t.push_back(
        labelled("recovery", fmt::format("{} -> {}: {}", f.from, f.to.empty() ? "none" : f.to,
                                         f.unblock ? "ran until the next fault"
                                                   : "the substitute was struck too, the next follows")));
  }
  if (!r.failovers.empty()) {
    const failover_result& f = r.failovers.back();
    picos before = f.fault ? *f.fault : zero;
    const auto add = [&](const char* label, const std::optional<picos>& at, const std::string& what) {
      if (!at) return;
      t.push_back(labelled(label, fmt::format("+{:8.1f} us  {}", us(*at - std::min(*at, before)), what)));
      before = *at;
    };
    add("detected", f.detect, fmt::format("the driver misses {}'s heartbeat, or an answer", f.from));
    add("fenced", f.fence, fmt::format("nothing of {} can land or leave any more", f.from));
    add("blocked", f.block, fmt::format("{} answers and takes no frame yet", f.to));
    add("drained", f.drain,
        fmt::format("{} of {} read: {} more", plural(after_drain_.records - at_drain_.records, "record"),
                    f.from, plural(after_drain_.received - at_drain_.received, "byte")));
    add("rebuilt", f.rebuild,
        fmt::format("{} described to {} from what the host holds",
                    plural(at_running_.restored - at_fault_.restored, "connection"), f.to));
    add("loaded", f.load, fmt::format("{} has taken them all", f.to));
    add("running", f.unblock,
        fmt::format("{} receives; {} released; first accepted +{} us", f.to,
                    plural(simulation_.parts().fabric->count().released - at_fault_.released, "held frame"),
                    f.blackout ? fmt::format("{:.1f}", us(*f.blackout)) : "-"));
  }
  // Those that the fault touched first.
  std::vector<std::pair<std::uint16_t, const conversation*>> all;
  for (const auto& [k, c] : conversations_)
    if (c.alive && (c.first_out || c.first_in || c.touched())) all.emplace_back(k.second, &c);
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second->touched() && !b.second->touched(); });
  const auto since = [&](const std::optional<picos>& at) {
    return at ? fmt::format("+{:.0f} us", us(*at - zero)) : std::string("none");
  };
  for (std::size_t i = 0; i < std::min(all.size(), connections_shown); ++i) {
    const conversation& c = *all[i].second;
    t.push_back(labelled(
        i ? "" : "went on",
        fmt::format("{}: sent {} B again, new {}; heard {} B again, {} dropped, new {}", all[i].first,
                    c.resent, since(c.first_out), c.again, c.duplicate, since(c.first_in))));
  }
  if (all.size() > connections_shown)
    t.push_back(labelled("", fmt::format("and {} more connections", all.size() - connections_shown)));
  return t;
}

}  // namespace understudy::tb
