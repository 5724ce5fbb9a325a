// Each monitor fires on its violation, and no other does; on the same story without the violation it stays
// silent, having judged.
#include "tb/monitors/monitor_set.h"

#include <functional>
#include <set>

#include "tb/test/monitors/watch_rig.h"

namespace understudy::tb {
namespace {

// A story told with and without its breach.
struct story {
  const char* id;
  const char* what;
  std::function<void(watch_rig&, bool breach)> tell;
  std::vector<std::string> also = {};  // monitors that must fire too
};

us_record fin_record(const watch_rig& g, std::uint32_t rcv_nxt) {
  us_record r = g.record(US_REC_DATA, rcv_nxt);
  r.flags = US_REC_FLAG_FIN;
  r.u.data.buf_id = US_NO_BUF;
  return r;
}

const story stories[] = {
    {"I-RX-1", "an_ack_waits_for_its_record",
     [](watch_rig& g, bool breach) {
       g.open();
       g.place(irs + 1, 100);
       if (!breach) g.commit(g.data_record(irs + 1, 100));
       g.out({tcp_ack, iss + 1, irs + 101, 0, 1900});
     }},
    {"I-RX-2", "a_record_waits_for_its_payload",
     [](watch_rig& g, bool breach) {
       g.open();
       g.place(irs + 1, breach ? 60 : 100);
       g.commit(g.data_record(irs + 1, 100));
     }},
    {"I-RX-3", "applications_get_right_bytes",
     [](watch_rig& g, bool breach) {
       g.watch.end_of_run({1000, breach ? 1u : 0u, 2, 0, false});
     }},
    {"I-RX-4", "a_substitute_starts_where_the_host_stands",
     [](watch_rig& g, bool breach) {
       g.open();
       g.receive(irs + 1, 100);
       g.restore(breach ? irs + 1 : irs + 101, iss + 1001);
     }},
    {"I-RX-5", "an_ack_never_goes_back",
     [](watch_rig& g, bool breach) {
       g.open();
       g.receive(irs + 1, 100);
       g.out({tcp_ack, iss + 1, irs + 101, 0, 1900});
       g.out({tcp_ack, iss + 1, breach ? irs + 51 : irs + 101, 0,
              static_cast<std::uint16_t>(breach ? 1950 : 1900)});
     }},
    {"I-RX-6", "the_right_edge_never_shrinks",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 0, static_cast<std::uint16_t>(breach ? 1999 : 2000)});
     }},
    {"I-RX-6", "the_right_edge_stays_within_the_grant",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 0, static_cast<std::uint16_t>(breach ? 4097 : 4096)});
     }},
    {"I-RX-7",
     "a_fin_is_acknowledged_behind_its_record",
     [](watch_rig& g, bool breach) {
       g.open();
       g.in({tcp_ack | tcp_fin, irs + 1, iss + 1});
       if (!breach) g.commit(fin_record(g, irs + 2));
       g.out({tcp_ack, iss + 1, irs + 2, 0, 1999});
     },
     {"I-RX-1"}},
    {"I-RX-1", "a_synack_waits_for_its_record_unless_its_listener_has_another_policy",
     [](watch_rig& g, bool breach) {
       g.listen(breach ? US_COMMIT_BEFORE_SYNACK : US_COMMIT_LAZY, 0);
       g.in({tcp_syn, irs, 0, 0, 2000});
       g.out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
     }},
    {"I-RX-1", "a_cookie_needs_a_flood",
     [](watch_rig& g, bool breach) {
       g.listen(US_COMMIT_BEFORE_SYNACK, breach ? 2 : 1);
       g.in({tcp_syn, irs, 0, 0, 2000});
       g.out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
     }},
    {"I-RX-1", "a_listeners_policy_covers_no_more_than_the_syn",
     [](watch_rig& g, bool breach) {
       g.listen(US_COMMIT_LAZY, 0);
       g.in({tcp_syn, irs, 0, 0, 2000});
       g.out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
       g.in({tcp_ack, irs + 1, iss + 1, 100, 2000});
       g.out({tcp_ack, iss + 1, breach ? irs + 101 : irs + 1, 0, 2000});
     }},
    {"I-RX-1", "a_handshake_is_judged_on_when_its_peer_opens_anew_unanswered",
     [](watch_rig& g, bool breach) {
       g.in({tcp_syn, irs, 0, 0, 2000});
       g.commit(g.opening_record(US_REC_EMBRYO, iss));
       g.out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
       g.in({tcp_syn, irs + 70000, 0, 0, 2000});
       g.out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
       g.out({tcp_ack, iss + 1, breach ? irs + 2 : irs + 1, 0, 2000});
     }},
    {"I-RX-8", "data_wait_for_their_announcement",
     [](watch_rig& g, bool breach) {
       g.begin();
       if (!breach) g.announce();
       g.receive(irs + 1, 100);
     }},
    {"I-TX-1", "send_bytes_are_kept_until_their_ack_is_recorded",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 1000, 2000});
       g.in({tcp_ack, irs + 1, iss + 1001, 0, 2000});
       if (!breach) g.commit(g.record(US_REC_ACKED, irs + 1, iss + 1001));
       g.watch.on_send_freed(cid{the_cid}, seq32{iss + 1001});
     }},
    {"I-TX-2", "a_byte_is_the_same_every_time",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 500, 2000});
       g.out({tcp_ack, iss + 1, irs + 1, 500, 2000, 0, static_cast<std::uint8_t>(breach ? 0x40 : 0)});
     }},
    {"I-TX-3", "nothing_leaves_beyond_what_is_posted",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 501, irs + 1, breach ? 501u : 500u, 2000});
     }},
    {"I-TX-3", "a_substitute_knows_of_everything_sent",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 1000, 2000});
       g.restore(irs + 1, breach ? iss + 1 : iss + 1001);
     }},
    {"I-TX-4", "the_peers_window_is_kept",
     [](watch_rig& g, bool breach) {
       g.open();
       g.in({tcp_ack, irs + 1, iss + 1, 0, 2000});
       g.post_send(iss + 1001, 1500);
       g.out({tcp_ack, iss + 1001, irs + 1, breach ? 1001u : 1000u, 2000});
     }},
    {"I-TX-5", "tsval_never_goes_back",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 10, 2000, 70});
       g.out({tcp_ack, iss + 11, irs + 1, 10, 2000, breach ? 69u : 70u});
     }},
    {"I-TX-6", "a_tuple_opens_again_with_another_number",
     [](watch_rig& g, bool breach) {
       g.open();
       g.commit(g.record(US_REC_CLOSED, irs + 1));
       g.watch.on_connection_end(cid{the_cid}, 0);
       const std::uint32_t again = irs + 70000;
       g.in({tcp_syn, again, 0, 0, 2000});
       us_record r = g.record(US_REC_EMBRYO, again + 1, breach ? iss : iss + 9999);
       std::copy(their_ip.bytes.begin(), their_ip.bytes.end(), r.u.conn.peer_ip);
       r.u.conn.local_port = our_port;
       r.u.conn.peer_port = their_port;
       r.u.conn.conn = US_CONN_PROTECTED;
       r.snd_wnd = US_NO_BUF;
       r.cid = the_cid + 0x100000;
       g.commit(r);
       g.out({tcp_syn | tcp_ack, breach ? iss : iss + 9999, again + 1, 0, 0});
     }},
    {"I-DMA-1", "a_write_hits_what_is_posted_to_its_adapter",
     [](watch_rig& g, bool breach) {
       g.open();
       const std::uint8_t byte = 0;
       g.visible(g.buffer + (breach ? 4096 : 4095), &byte, 1);
     }},
    {"I-DMA-1", "a_buffer_taken_back_is_not_written",
     [](watch_rig& g, bool breach) {
       g.open();
       if (breach) g.watch.on_take_back(buf_id{1});
       const std::uint8_t byte = 0;
       g.visible(g.buffer, &byte, 1);
     }},
    {"I-DMA-1", "bytes_that_are_sent_twice_from_one_place_are_posted_until_both_are_free",
     [](watch_rig& g, bool breach) {
       g.open();
       const std::uint64_t at = g.post_send(iss + 1001, 256);  // the low bytes of numbers: the same every 256
       g.watch.on_send_posted(cid{the_cid}, seq32{iss + 1513}, iova{at}, 256);
       g.out({tcp_ack, iss + 1, irs + 1, 1512, 2000});
       g.in({tcp_ack, irs + 1, iss + 1385, 0, 2000});
       g.commit(g.record(US_REC_ACKED, irs + 1, iss + 1385));
       g.watch.on_send_freed(cid{the_cid}, seq32{iss + 1257});  // the first of them
       g.watch.on_send_freed(cid{the_cid}, seq32{iss + 1385});  // half of the second
       g.emit(event_kind::tlp_up, 0, at + (breach ? 100 : 128),
              static_cast<std::uint64_t>(tlp_type::memory_read) << 32 | 128);
     }},
    {"I-DMA-1", "a_read_hits_posted_send_bytes",
     [](watch_rig& g, bool breach) {
       g.open();
       const std::uint64_t at = g.post_send(iss + 1001, 100);
       if (breach) {
         g.in({tcp_ack, irs + 1, iss + 1101, 0, 2000});
         g.watch.on_connection_end(cid{the_cid}, 0);
       }
       g.emit(event_kind::tlp_up, 0, at, static_cast<std::uint64_t>(tlp_type::memory_read) << 32 | 100);
     }},
    {"I-DMA-2", "nothing_lands_behind_the_fence",
     [](watch_rig& g, bool breach) {
       g.open();
       const std::uint8_t byte = 0;
       if (!breach) g.visible(g.buffer, &byte, 1);
       g.recovery(1);
       g.recovery(2);
       if (breach) g.visible(g.buffer, &byte, 1);
       g.recovery(7);
     }},
    {"I-DMA-2", "the_host_takes_no_record_of_another_epoch",
     [](watch_rig& g, bool breach) {
       us_record r = g.record(US_REC_ACKED, irs + 1);
       r.epoch = breach ? 0 : 1;
       g.consume(r);
     }},
    {"I-DMA-3", "one_adapter_sends_for_a_connection",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 0, 2000}, 0);
       g.out({tcp_ack, iss + 1, irs + 1, 0, 2000}, breach ? 1 : 0);
     }},
    {"I-DMA-4", "buffers_are_conserved",
     [](watch_rig& g, bool breach) {
       g.post_buffer(1, 0, 0, US_NO_CID);
       g.driver.total = 3;
       g.driver.free = breach ? 1 : 2;
       g.watch.end_of_run({1, 0, 2, 0, false});
     }},
    {"I-DMA-5", "bytes_lie_in_their_own_connections_buffers",
     [](watch_rig& g, bool breach) {
       g.open();
       us_record r = g.data_record(irs + 1, 10);
       if (breach) {
         const std::uint64_t other = g.post_buffer(2, 0, 0, 0x55);
         const std::uint8_t ten[10] = {};
         g.visible(other, ten, 10);
         r.u.data.buf_id = 2;
       } else {
         g.place(irs + 1, 10);
       }
       g.commit(r);
     }},
    {"I-Q-1", "records_are_numbered_without_a_gap",
     [](watch_rig& g, bool breach) {
       g.open();
       g.commit(g.record(US_REC_ACKED, irs + 1), 0, breach ? 1 : 0);
     }},
    {"I-Q-1", "records_are_intact",
     [](watch_rig& g, bool breach) {
       g.open();
       g.commit(g.record(US_REC_ACKED, irs + 1), 0, 0, breach);
     }},
    {"I-Q-2", "a_doorbell_moves_forward",
     [](watch_rig& g, bool breach) {
       g.open();
       g.emit(event_kind::mmio_write, 0, US_REG_IDT_TAIL, 3);
       g.emit(event_kind::mmio_write, 0, US_REG_IDT_TAIL, breach ? 2 : 4);
     }},
    {"I-Q-2", "no_descriptor_beyond_the_tail_is_fetched",
     [](watch_rig& g, bool breach) {
       g.open();
       g.emit(event_kind::mmio_write, 0, US_REG_IDT_TAIL, 3);
       g.emit(event_kind::tlp_up, 0, g.driver.rings(0).idt_iova,
              static_cast<std::uint64_t>(tlp_type::memory_read) << 32 | (breach ? 4u : 3u) * US_ENTRY_BYTES);
     }},
    {"I-Q-2", "a_doorbell_of_a_transmit_queue_moves_forward",
     [](watch_rig& g, bool breach) {
       g.open();
       g.open_tx_queue();
       g.emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_TAIL, 3);
       g.emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_TAIL, breach ? 2 : 4);
     }},
    {"I-Q-2", "no_descriptor_of_a_transmit_queue_beyond_its_tail_is_fetched",
     [](watch_rig& g, bool breach) {
       g.open();
       g.open_tx_queue();
       g.emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_TAIL, 3);
       g.emit(event_kind::tlp_up, 0, g.driver.rings(0).tx[1].iova,
              static_cast<std::uint64_t>(tlp_type::memory_read) << 32 | (breach ? 4u : 3u) * US_ENTRY_BYTES);
     }},
    {"I-Q-4", "no_descriptor_of_a_transmit_queue_is_overwritten_before_it_is_fetched",
     [](watch_rig& g, bool breach) {
       g.open();
       g.open_tx_queue();
       g.emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_TAIL, breach ? 17 : 16);
     }},
    {"I-Q-5", "a_report_of_frames_beyond_a_transmit_queues_tail_is_refused",
     [](watch_rig& g, bool breach) {
       g.open();
       g.open_tx_queue();
       g.emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_TAIL, 3);
       us_record r = g.record(US_REC_RAW, 0);
       r.u.end.ring = 2;
       r.u.end.index = 3;
       g.commit(r);
       g.consume(r);
       if (!breach) ++g.driver.count.bad_records;
       g.emit(event_kind::timer, 0);
     }},
    {"I-DMA-1", "a_frame_of_a_transmit_queue_is_read_until_a_record_says_that_it_is_over",
     [](watch_rig& g, bool breach) {
       g.open();
       g.open_tx_queue();
       us_idt_entry d{};
       d.opcode = US_OP_SEND_RAW;
       d.u.send.iova_lo = 0x5000'0000;
       d.u.send.len = 1000;
       g.watch.on_tx_descriptor(0, 1, d, 0);
       g.emit(event_kind::mmio_write, 0, US_TX_QUEUE(1) + US_TX_TAIL, 1);
       if (breach) {
         us_record r = g.record(US_REC_RAW, 0);
         r.u.end.ring = 2;
         r.u.end.index = 0;
         g.commit(r);
         g.consume(r);
       }
       g.emit(event_kind::tlp_up, 0, 0x5000'0000,
              static_cast<std::uint64_t>(tlp_type::memory_read) << 32 | 1000u);
     }},
    {"I-Q-3", "an_interrupt_comes_behind_its_records",
     [](watch_rig& g, bool breach) {
       g.open();
       const std::uint64_t slot = g.driver.rings(0).odt_iova + g.numbers[0] * US_ENTRY_BYTES;
       const std::uint64_t write = static_cast<std::uint64_t>(tlp_type::memory_write) << 32;
       if (breach) g.emit(event_kind::tlp_up, 0, slot, write | 64);
       g.emit(event_kind::tlp_up, 0, pcie_port::msi_base, write | 4);
       g.emit(event_kind::interrupt, 0, 0, pcie_port::msi_base);
     }},
    {"I-Q-4", "no_record_is_overwritten_before_it_is_read",
     [](watch_rig& g, bool breach) {
       g.open();
       for (int i = 2; i < 16; ++i) g.commit(g.record(US_REC_ACKED, irs + 1));
       if (!breach) g.emit(event_kind::mmio_write, 0, US_REG_ODT_HEAD, 1);
       g.commit(g.record(US_REC_ACKED, irs + 1));
     }},
    {"I-Q-4", "no_descriptor_is_overwritten_before_it_is_fetched",
     [](watch_rig& g, bool breach) {
       g.open();
       g.emit(event_kind::mmio_write, 0, US_REG_IDT_TAIL, breach ? 17 : 16);
     }},
    {"I-Q-5", "a_record_beyond_its_buffer_is_refused",
     [](watch_rig& g, bool breach) {
       g.open();
       us_record r = g.data_record(irs + 1, 10);
       r.u.data.off = 4090;
       g.commit(r);
       g.consume(r);
       if (!breach) ++g.driver.count.bad_records;
       g.emit(event_kind::timer, 0);
     }},
    {"I-Q-5", "a_refusal_of_what_was_never_written_is_refused",
     [](watch_rig& g, bool breach) {
       g.open();
       us_record r = g.record(US_REC_REFUSED, irs + 1);
       r.u.end.index = 1 << 24;
       g.commit(r);
       g.consume(r);
       if (!breach) ++g.driver.count.bad_records;
       g.emit(event_kind::timer, 0);
     }},
    {"I-LV-2", "a_record_is_followed_by_an_interrupt_however_busy_the_cpu",
     [](watch_rig& g, bool breach) {
       g.open();
       const us_record r = g.record(US_REC_ACKED, irs + 1);
       g.commit(r);
       if (!breach) g.emit(event_kind::interrupt, 0, US_VECTOR_RECORDS, pcie_port::msi_base);
       g.now += 2 * ring_watch::wakeup_deadline;
       g.emit(event_kind::timer, 0);
       g.consume(r);
     }},
    {"I-LV-3", "a_window_that_the_host_opens_is_told",
     [](watch_rig& g, bool breach) {
       g.open();
       g.receive(irs + 1, 2000);
       g.out({tcp_ack, iss + 1, irs + 2001, 0, 0});
       g.post_buffer(2, irs + 1 + 8192);
       g.now += breach ? 2 * connection_watch::reopen_deadline : 1_ms;
       g.out({tcp_ack, iss + 1, irs + 2001, 0, 3000});
     }},
    {"I-LV-3", "a_peer_whose_window_is_shut_is_probed",
     [](watch_rig& g, bool breach) {
       g.open();
       g.out({tcp_ack, iss + 1, irs + 1, 1000, 2000});
       g.in({tcp_ack, irs + 1, iss + 1001, 0, 1000});
       g.post_send(iss + 1001, 3000);
       g.now += breach ? 62_s : 1_s;
       g.out({tcp_ack, iss + 1001, irs + 1, 1, 2000});
     }},
    {"I-LV-5", "segments_that_say_nothing_new_are_few",
     [](watch_rig& g, bool breach) {
       g.open();
       const std::uint32_t most = connection_watch::storm_segments;
       for (std::uint32_t i = 0; i < most + (breach ? 1 : 0); ++i)
         g.out({tcp_ack, iss + 1, irs + 1, 0, 2000});
     }},
    {"I-LV-5", "an_answer_to_what_was_sent_is_no_storm",
     [](watch_rig& g, bool breach) {
       g.open();
       for (std::uint32_t i = 0; i < 2 * connection_watch::storm_segments; ++i) {
         g.in({tcp_ack, irs + 1001, iss + 1, breach ? 0u : 10u, 2000});
         g.out({tcp_ack, iss + 1, irs + 1, 0, 2000});
       }
     }},
    {"I-LV-5", "three_duplicates_ask_for_a_segment_and_are_no_storm",
     [](watch_rig& g, bool breach) {
       g.open();
       for (std::uint32_t i = 0; i < connection_watch::storm_segments; ++i) {
         g.receive(irs + 1 + 10 * i, 10);
         g.driver_catches_up();
         for (int n = 0; n < (breach ? 6 : 4); ++n)
           g.out({tcp_ack, iss + 1, irs + 11 + 10 * i, 0, static_cast<std::uint16_t>(1990 - 10 * i)});
       }
     }},
    {"I-DMA-6", "an_application_keeps_its_hands_off_what_it_has_lent",
     [](watch_rig& g, bool breach) {
       const auto r = g.memory.allocate(4096, 64);
       g.watch.on_app_memory(iova{r.iova}, 4096);
       g.watch.on_post_buffer(0, buf_id{9}, iova{r.iova}, 1024);
       g.watch.on_app_access(iova{r.iova + (breach ? 1000 : 1024)}, 100, false);
       g.watch.on_take_back(buf_id{9});
     }},
    {"I-DMA-6",
     "what_is_being_sent_may_be_read_and_not_be_written",
     [](watch_rig& g, bool breach) {
       g.open();
       const auto r = g.memory.allocate(4096, 64);
       g.watch.on_app_memory(iova{r.iova}, 4096);
       g.watch.on_send_posted(cid{the_cid}, seq32{iss + 101}, iova{r.iova}, 100);
       g.watch.on_app_access(iova{r.iova + 50}, 10, breach);
       g.watch.on_send_freed(cid{the_cid}, seq32{iss + 1});
     },
     {}},
    {"I-DMA-6", "no_byte_is_lent_twice",
     [](watch_rig& g, bool breach) {
       const auto r = g.memory.allocate(8192, 64);
       g.watch.on_post_buffer(0, buf_id{9}, iova{r.iova}, 4096);
       g.watch.on_post_buffer(0, buf_id{10}, iova{r.iova + (breach ? 4095 : 4096)}, 1024);
       g.watch.on_take_back(buf_id{9});
       g.watch.on_take_back(buf_id{10});
     }},
    {"I-DMA-7", "a_group_loses_no_buffer",
     [](watch_rig& g, bool breach) {
       g.driver.all_groups = {{.total = 8, .free = 3, .posted = 4, .filled = breach ? 0u : 1u}};
       g.watch.end_of_run({0, 0, 0, 0, false});
     }},
    {"I-LV-7", "what_is_accepted_is_handed_over",
     [](watch_rig& g, bool breach) {
       g.open();
       g.emit(event_kind::engine_step, 0, the_cid, std::uint64_t{US_REC_DATA} << 32 | (irs + 1));
       g.receive(irs + 1, 100);
       g.driver_catches_up();
       g.emit(event_kind::engine_step, 0, the_cid, std::uint64_t{US_REC_DATA} << 32 | (irs + 101));
       g.now += 11_ms;
       if (!breach) g.receive(irs + 101, 100);
       g.driver_catches_up();
       g.emit(event_kind::engine_step, 0, the_cid, std::uint64_t{US_REC_DATA} << 32 | (irs + 201));
     }},
    {"I-OB-2", "an_end_in_order_is_no_error",
     [](watch_rig& g, bool breach) {
       g.open();
       g.commit(g.record(US_REC_CLOSED, irs + 1));
       g.watch.on_connection_end(cid{the_cid}, breach ? 104 : 0);
     }},
    {"I-OB-2", "an_abort_is_an_error",
     [](watch_rig& g, bool breach) {
       g.open();
       g.commit(g.record(US_REC_ABORTED, irs + 1));
       g.watch.on_connection_end(cid{the_cid}, breach ? 0 : 104);
     }},
    {"I-OB-2", "an_abort_of_a_handshake_is_none_of_the_next_connection",
     [](watch_rig& g, bool breach) {
       constexpr std::uint32_t again = irs + 70000, next_cid = the_cid + 1;
       g.in({tcp_syn, irs, 0, 0, 2000});
       g.commit(g.opening_record(US_REC_EMBRYO, iss));
       g.out({tcp_syn | tcp_ack, iss, irs + 1, 0, 2000});
       g.in({tcp_syn, again, 0, 0, 2000});
       us_record r = g.opening_record(US_REC_EMBRYO, iss + 9999);
       r.cid = next_cid;
       r.rcv_nxt = again + 1;
       g.commit(r);
       g.commit(g.record(US_REC_ABORTED, irs + 1));
       g.out({tcp_syn | tcp_ack, iss + 9999, again + 1, 0, 2000});
       if (breach) {
         r = g.record(US_REC_ABORTED, again + 1, iss + 10000);
         r.cid = next_cid;
         g.commit(r);
       }
       g.watch.on_connection_end(cid{the_cid}, 104);
       g.watch.on_connection_end(cid{next_cid}, 0);
     }},
    {"I-OB-2", "an_abort_is_told",
     [](watch_rig& g, bool breach) {
       g.open();
       g.commit(g.record(US_REC_ABORTED, irs + 1));
       if (!breach) g.watch.on_connection_end(cid{the_cid}, 104);
       g.driver.open = 1;
       g.watch.end_of_run({1, 0, 2, 0, false});
     }},
    {"I-LV-1", "every_end_finishes_or_is_reported",
     [](watch_rig& g, bool breach) {
       g.watch.end_of_run({1, 0, 2, breach ? 1u : 0u, false});
     }},
    {"I-LV-4", "a_failover_ends_in_time",
     [](watch_rig& g, bool breach) {
       g.recovery(1);
       g.recovery(2);
       g.now += breach ? monitor_set::failover_deadline : 1_ms;
       g.recovery(7);
     }},
    {"I-LV-4", "a_failover_ends",
     [](watch_rig& g, bool breach) {
       g.recovery(1);
       if (!breach) g.recovery(7);
       g.watch.end_of_run({1, 0, 2, 0, false});
     }},
};

class monitor_story : public ::testing::TestWithParam<story> {};

TEST_P(monitor_story, without_its_breach_is_judged_and_silent) {
  watch_rig g;
  GetParam().tell(g, false);
  g.expect_silent(GetParam().id);
}

TEST_P(monitor_story, with_its_breach_is_reported_with_a_witness) {
  watch_rig g;
  GetParam().tell(g, true);
  std::set<std::string> expected(GetParam().also.begin(), GetParam().also.end());
  expected.insert(GetParam().id);
  std::set<std::string> fired;
  for (const monitor_result& m : g.watch.results())
    if (m.violations) fired.insert(m.id);
  EXPECT_EQ(fired, expected);
  const monitor_result m = g.result(GetParam().id);
  EXPECT_GT(m.violations, 0u);
  EXPECT_TRUE(m.armed);
  EXPECT_EQ(m.first.rfind("event ", 0), 0u) << m.first;
  EXPECT_FALSE(m.witness.empty());
  EXPECT_EQ(m.event, m.before.empty() ? 0 : std::stoull(m.before.back()))
      << "the newest event is the last line";
}

TEST(monitor_set, shows_the_last_64_events_up_to_a_violation_and_keeps_the_first) {
  watch_rig g;
  g.open();
  for (int i = 0; i < 100; ++i) g.in({tcp_ack, irs + 1, iss + 1, 0, 2000});
  g.out({tcp_ack, iss + 1, irs + 101, 0, 1900});
  const std::uint64_t at = g.log.count();
  for (int i = 0; i < 10; ++i) g.out({tcp_ack, iss + 1, irs + 201, 0, 1800});
  const monitor_result m = g.result("I-RX-1");
  EXPECT_EQ(m.violations, 11u);
  EXPECT_EQ(m.event, at);
  ASSERT_EQ(m.before.size(), 64u);
  EXPECT_EQ(std::stoull(m.before.front()), at - 63);
  EXPECT_EQ(std::stoull(m.before.back()), at);
  EXPECT_NE(m.before.back().find("frame_out"), std::string::npos) << m.before.back();
  EXPECT_NE(m.before.back().find("80 > 5000 seq 5001 ack 1101 len 0"), std::string::npos) << m.before.back();
  EXPECT_NE(m.witness.find("ACK 1101"), std::string::npos) << m.witness;
}

INSTANTIATE_TEST_SUITE_P(all, monitor_story, ::testing::ValuesIn(stories), [](const auto& i) {
  std::string name = std::string(i.param.id) + "_" + i.param.what;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(monitor_set, tells_of_every_monitor_that_it_describes) {
  watch_rig g;
  std::set<std::string> told;
  for (const story& s : stories) told.insert(s.id);
  unsigned described = 0;
  for (const monitor_sentence& s : monitor_sentences()) {
    ++described;
    EXPECT_FALSE(g.result(std::string(s.id)).armed) << s.id << " is armed before it has judged";
    EXPECT_TRUE(told.count(std::string(s.id))) << s.id << " has no story";
  }
  EXPECT_EQ(described, g.watch.results().size());
}

}  // namespace
}  // namespace understudy::tb
