// Frames that the host's stack has built: fetched piece by piece, sent whole or not at all, reported in
// order.
#include <utility>

#include "model/adapter/adapter.h"

namespace understudy {

namespace {
constexpr unsigned raw_queue = 1;  // of the DMA engine's reads
}  // namespace

// Every frame has one outcome, a bad one too; it comes in the order of the descriptors.
void adapter::take_raw_piece(const us_idt_entry& e, std::uint32_t index) {
  raw_chain_.add(e);
  if (e.flags & US_RAW_MORE) return;
  const std::uint32_t bytes = raw_chain_.lay_out();
  const unsigned pieces = std::exchange(raw_chain_.count, 0);
  raw_frame& f = raw_frames_.extend_back();
  f = raw_frame{};
  f.last = index;
  if (bytes == 0) {
    f.status = US_ERR_BAD_LENGTH;
    finish_raw();
    return;
  }
  f.frame = room_for_raw(bytes);
  f.reads = pieces;
  const std::uint64_t number = raw_first_ + raw_frames_.size() - 1;
  for (unsigned i = 0; i < pieces; ++i) raw_reads_waiting_.push_back({number, raw_chain_.pieces[i]});
  start_raw_reads();
}

void adapter::start_raw_reads() {
  while (raw_reading_ < config_.raw_reads && !raw_reads_waiting_.empty() && !dead_) {
    const raw_read r = raw_reads_waiting_.pop_front();
    raw_frame& f = raw_frames_[r.frame - raw_first_];
    ++raw_reading_;
    ++counters_.raw_reads;
    const dma_status s = dma.read(
        r.piece.at, r.piece.length, f.frame.data() + r.piece.offset, f.frame,
        [this, number = r.frame](bool ok) { raw_read_done(number, ok); }, raw_queue);
    if (s != dma_status::ok) raw_read_done(r.frame, false);
  }
}

void adapter::raw_read_done(std::uint64_t number, bool ok) {
  --raw_reading_;
  raw_frame& f = raw_frames_[number - raw_first_];
  if (!ok) f.status = US_ERR_DMA;
  if (--f.reads == 0) finish_raw();
  start_raw_reads();
}

// Frames leave in order, each when all of it is there.
void adapter::finish_raw() {
  while (!raw_frames_.empty() && raw_frames_.front().reads == 0) {
    const raw_frame f = raw_frames_.pop_front();
    ++raw_first_;
    raw_last_ = f.last;
    if (f.status == US_OK) {
      ++counters_.raw_frames;
      ++raw_unreported_;
      agenda_.in(config_.tx_latency, [this, frame = f.frame] { send_frame(frame); });
      if (raw_unreported_ >= config_.raw_completion_batch) {
        report_raw();
      } else if (!raw_report_scheduled_) {
        raw_report_scheduled_ = true;
        agenda_.in(config_.acked_record_age, [this] {
          raw_report_scheduled_ = false;
          if (raw_unreported_) report_raw();
        });
      }
      continue;
    }
    ++counters_.raw_failed;
    raw_unreported_ = 0;
    output_.push(raw_report(US_REC_RAW, 0, f.status, f.last), false);
  }
}

void adapter::report_raw() {
  raw_unreported_ = 0;
  output_.push(raw_report(US_REC_RAW, 0, US_OK, raw_last_), false);
}

}  // namespace understudy
