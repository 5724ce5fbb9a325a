/// IPv4, TCP and UDP checksums of a stream of IPv4 and IPv6 packets (RFC 791, 8200, 9293, 768, 1071): judged on reception, computed
/// for transmission.
/// The twin is model/core/checksum.{h,cpp}: for every packet both give the same result after the same number of cycles.
///
/// Stream in: the packet from the IP header to the end of the frame, DataBytes a beat; byte 0 is data_i[7:0] and is first on the
/// wire. first_i and last_i mark its beats; keep_i marks the bytes present, from byte 0 up without a hole, all of them unless last_i.
/// insert_i (sampled with first_i) asks for the values of the checksum fields, which then count as zero; else the fields are judged.
/// Ethernet padding behind the total length is ignored. A packet of no bytes is one beat with keep_i = 0.
///
/// Result out, one a packet, in order:
///   ip_ok_o       the header is well formed (version 4, IHL >= 5, IHL <= total length <= bytes present; or version 6, 40 + payload
///                 length <= 65535 and <= bytes present); when judging IPv4, its checksum is right, too
///   l4_checked_o  ip_ok_o, and protocol 6 or 17 (IPv6: without extension headers), and not a fragment
///   l4_ok_o       l4_checked_o, the lengths are possible (TCP >= 20; 8 <= UDP length <= bytes IP carries) and, when judging, the
///                 checksum is right or, in UDP over IPv4, not used (0)
///   ip_sum_o      the folded one's complement sum, 16'hffff when right; 0 when the header is not well formed, and in IPv6
///   l4_sum_o      the same over pseudo-header and segment; 0 unless l4_checked_o and the lengths are possible
///   ip_csum_o, l4_csum_o  with insert_i, the values to insert where ip_ok_o and l4_ok_o; else 0. A UDP value of 0 is given as 16'hffff.
///
/// Latency: the result is there Latency (4) cycles after the last beat was accepted (parse, add, accumulate, fold).
/// Throughput: one beat a cycle, without a gap between packets.
/// Back-pressure: ready_o falls only while a second result is complete and the first is not taken. ready_o depends on result_ready_i
/// combinationally; valid never waits for ready. Outputs are stable until taken. Source: payload stable until accepted.
/// Bad input: a beat without first_i outside a packet is swallowed; a first_i inside a packet drops the unfinished one, which has no
/// result. A packet above 65535 bytes is judged by its total length as any other.
`default_nettype none

module checksum #(
  parameter int unsigned DataBytes = 32  // 4, 8, 16, 32 or 64
) (
  input  wire logic                     clk_i,
  input  wire logic                     rst_ni,  // synchronous, active low
  // packet stream
  input  wire logic                     valid_i,
  output logic                          ready_o,
  input  wire logic                     first_i,
  input  wire logic                     last_i,
  input  wire logic                     insert_i,
  input  wire logic [8*DataBytes-1:0]   data_i,
  input  wire logic [DataBytes-1:0]     keep_i,
  // results
  output logic                          result_valid_o,
  input  wire logic                     result_ready_i,
  output logic                          ip_ok_o,
  output logic                          l4_checked_o,
  output logic                          l4_ok_o,
  output logic [15:0]                   ip_sum_o,
  output logic [15:0]                   l4_sum_o,
  output logic [15:0]                   ip_csum_o,
  output logic [15:0]                   l4_csum_o
);
  if (!(DataBytes inside {4, 8, 16, 32, 64})) begin : gen_bad_width
    $fatal(1, "checksum: DataBytes must be 4, 8, 16, 32 or 64");
  end

  localparam int unsigned Words = DataBytes / 2;
  localparam int unsigned LogWords = $clog2(Words);
  localparam int unsigned CountBits = $clog2(DataBytes + 1);
  localparam int unsigned PartialBits = 16 + LogWords;

  localparam logic [7:0] ProtocolTcp = 8'd6;
  localparam logic [7:0] ProtocolUdp = 8'd17;

  // Positions of 16-bit words in the packet. They stop at 2^15, behind the last word a total length can reach.
  typedef logic [15:0] word_index_t;
  typedef logic [LogWords-1:0] lane_t;
  localparam word_index_t VersionWord = 0;
  localparam word_index_t TotalLengthWord = 1;
  localparam word_index_t FragmentWord = 3;
  localparam word_index_t ProtocolWord = 4;
  localparam word_index_t IpChecksumWord = 5;
  localparam word_index_t AddressWord = 6;
  localparam word_index_t AddressEndWord = 10;
  localparam word_index_t PayloadLengthWord6 = 2;
  localparam word_index_t NextHeaderWord6 = 3;
  localparam word_index_t AddressWord6 = 4;
  localparam word_index_t AddressEndWord6 = 20;
  localparam logic [3:0]  HeaderLength6 = 4'd10;  // as if it were an IHL
  // From the start of the segment.
  localparam word_index_t UdpLengthWord = 2;
  localparam word_index_t UdpChecksumWord = 3;
  localparam word_index_t UdpHeaderWords = 4;
  localparam word_index_t TcpChecksumWord = 8;

  // What is known of a packet after the beat it travels with.
  typedef struct packed {
    logic        insert;
    logic [16:0] bytes;  // present so far; stops at 2^16
    logic        v6;
    logic [3:0]  version;
    logic [3:0]  ihl;  // header length in 32-bit words
    logic [16:0] total_length;
    logic        fragment;
    logic [7:0]  protocol;
    logic [15:0] udp_length;
    logic        udp_unused;  // the checksum field is 0
  } header_t;

  // The first word of the beat that holds a word. A beat holds Words words, a power of two.
  function automatic word_index_t beat_of(word_index_t index);
    return index & ~16'(Words - 1);
  endfunction

  // One's complement folding of 32 bits to 16 with the end-around carry (RFC 1071 2).
  function automatic logic [15:0] fold(logic [31:0] sum);
    logic [16:0] once;
    once = {1'b0, sum[31:16]} + {1'b0, sum[15:0]};
    return once[15:0] + {15'b0, once[16]};
  endfunction

  // ---- Flow control: the pipeline moves as one, and stops only in front of a result that is not taken.
  logic advance;
  logic accept;
  logic open_q;
  assign ready_o = advance;
  assign accept = valid_i && advance && (first_i || open_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      open_q <= 1'b0;
    end else if (accept) begin
      open_q <= !last_i;
    end
  end

  // ---- 1. Parse: fixed header fields by their place; the UDP fields move with the header length.
  word_index_t                  base_d, base_q;
  header_t                      header_d, header_q;
  logic [Words-1:0][15:0]       word_d, word_q;  // host order
  logic                         parse_valid_q, parse_first_q, parse_last_q;

  logic [CountBits-1:0] beat_bytes;
  always_comb begin
    beat_bytes = '0;
    for (int unsigned i = 0; i < DataBytes; i++) beat_bytes += CountBits'(keep_i[i]);
  end

  always_comb begin
    for (int unsigned i = 0; i < Words; i++) word_d[i] = {data_i[16*i+:8], data_i[16*i+8+:8]};
  end

  word_index_t udp_length_word, udp_checksum_word;
  always_comb begin
    base_d = first_i ? '0 : base_q[15] ? base_q : base_q + 16'(Words);
    header_d = header_q;
    if (first_i) begin
      header_d = '0;
      header_d.insert = insert_i;
    end
    if (!header_d.bytes[16]) header_d.bytes += 17'(beat_bytes);
    if (base_d == beat_of(VersionWord)) begin
      {header_d.version, header_d.ihl} = word_d[lane_t'(VersionWord)][15:8];
      header_d.v6 = header_d.version == 4'd6;
      if (header_d.v6) header_d.ihl = HeaderLength6;
    end
    if (header_d.v6) begin
      if (base_d == beat_of(PayloadLengthWord6))
        header_d.total_length = 17'(word_d[lane_t'(PayloadLengthWord6)]) + 17'(HeaderLength6) * 4;
      if (base_d == beat_of(NextHeaderWord6)) header_d.protocol = word_d[lane_t'(NextHeaderWord6)][15:8];
    end else begin
      if (base_d == beat_of(TotalLengthWord)) header_d.total_length = 17'(word_d[lane_t'(TotalLengthWord)]);
      if (base_d == beat_of(FragmentWord)) header_d.fragment = |word_d[lane_t'(FragmentWord)][13:0];
      if (base_d == beat_of(ProtocolWord)) header_d.protocol = word_d[lane_t'(ProtocolWord)][7:0];
    end
    udp_length_word = {11'b0, header_d.ihl, 1'b0} + UdpLengthWord;
    udp_checksum_word = {11'b0, header_d.ihl, 1'b0} + UdpChecksumWord;
    if (base_d == beat_of(udp_length_word)) header_d.udp_length = word_d[lane_t'(udp_length_word)];
    if (base_d == beat_of(udp_checksum_word)) header_d.udp_unused = word_d[lane_t'(udp_checksum_word)] == '0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      parse_valid_q <= 1'b0;
    end else if (advance) begin
      parse_valid_q <= accept;
    end
    if (accept) begin
      base_q <= base_d;
      header_q <= header_d;
      word_q <= word_d;
      parse_first_q <= first_i;
      parse_last_q <= last_i;
    end
  end

  // ---- 2. Add the words of the beat that belong to the header, and those that belong to pseudo-header and segment.
  logic [PartialBits-1:0] ip_partial_d, ip_partial_q;
  logic [PartialBits-1:0] l4_partial_d, l4_partial_q;
  header_t                add_header_q;
  logic                   add_valid_q, add_first_q, add_last_q;

  logic        is_udp;
  word_index_t segment_word;   // the segment's first word
  word_index_t checksum_word;  // its checksum field
  logic [16:0] segment_end;    // the first byte behind what its checksum covers
  word_index_t address_word, address_end_word;
  always_comb begin
    is_udp = header_q.protocol == ProtocolUdp;
    segment_word = 16'(header_q.ihl) * 2;
    checksum_word = segment_word + (is_udp ? UdpChecksumWord : TcpChecksumWord);
    segment_end = is_udp ? 17'(segment_word) * 2 + 17'(header_q.udp_length) : header_q.total_length;
    address_word = header_q.v6 ? AddressWord6 : AddressWord;
    address_end_word = header_q.v6 ? AddressEndWord6 : AddressEndWord;
  end

  always_comb begin
    ip_partial_d = '0;
    l4_partial_d = '0;
    for (int unsigned i = 0; i < Words; i++) begin
      automatic word_index_t index = base_q + 16'(i);
      automatic logic [15:0] data = word_q[i];
      // The UDP header is covered whatever its length field says: the field may not have been seen yet.
      automatic logic udp_header = is_udp && index < segment_word + UdpHeaderWords;
      if (index < segment_word) begin
        if (!(header_q.insert && index == IpChecksumWord)) ip_partial_d += PartialBits'(data);
        if (index >= address_word && index < address_end_word) l4_partial_d += PartialBits'(data);
      end else if (!(header_q.insert && index == checksum_word)) begin
        if (udp_header || {index, 1'b0} < segment_end) l4_partial_d += PartialBits'({data[15:8], 8'h00});
        if (udp_header || {index, 1'b1} < segment_end) l4_partial_d += PartialBits'({8'h00, data[7:0]});
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      add_valid_q <= 1'b0;
    end else if (advance) begin
      add_valid_q <= parse_valid_q;
    end
    if (advance && parse_valid_q) begin
      ip_partial_q <= ip_partial_d;
      l4_partial_q <= l4_partial_d;
      add_header_q <= header_q;
      add_first_q <= parse_first_q;
      add_last_q <= parse_last_q;
    end
  end

  // ---- 3. Accumulate over the beats of a packet. 2^15 words of 16 bits stay below 2^31.
  logic [31:0] ip_total_q;
  logic [31:0] l4_total_q;
  header_t     total_header_q;
  logic        total_done_q;  // the packet is complete

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      total_done_q <= 1'b0;
    end else if (advance) begin
      total_done_q <= add_valid_q && add_last_q;
    end
    if (advance && add_valid_q) begin
      ip_total_q <= (add_first_q ? '0 : ip_total_q) + 32'(ip_partial_q);
      l4_total_q <= (add_first_q ? '0 : l4_total_q) + 32'(l4_partial_q);
      total_header_q <= add_header_q;
    end
  end

  // ---- 4. Fold and judge.
  logic        result_valid_q;
  logic        ip_ok_d, ip_ok_q;
  logic        l4_checked_d, l4_checked_q;
  logic        l4_ok_d, l4_ok_q;
  logic [15:0] ip_sum_d, ip_sum_q;
  logic [15:0] l4_sum_d, l4_sum_q;
  logic [15:0] ip_csum_d, ip_csum_q;
  logic [15:0] l4_csum_d, l4_csum_q;

  logic        well_formed;
  logic        udp;
  logic        length_ok;
  logic [15:0] header_length;
  logic [15:0] segment_length;
  logic [15:0] covered_length;  // the pseudo-header's length
  always_comb begin
    header_length = 16'(total_header_q.ihl) * 4;
    segment_length = 16'(total_header_q.total_length) - header_length;
    udp = total_header_q.protocol == ProtocolUdp;
    covered_length = udp ? total_header_q.udp_length : segment_length;

    well_formed = (total_header_q.v6 || (total_header_q.version == 4'd4 && total_header_q.ihl >= 4'd5)) &&
                  total_header_q.total_length >= 17'(header_length) && !total_header_q.total_length[16] &&
                  total_header_q.bytes >= total_header_q.total_length;
    ip_sum_d = well_formed && !total_header_q.v6 ? fold(ip_total_q) : '0;
    ip_ok_d = well_formed && (total_header_q.v6 || total_header_q.insert || ip_sum_d == 16'hffff);
    ip_csum_d = ip_ok_d && total_header_q.insert && !total_header_q.v6 ? ~ip_sum_d : '0;

    l4_checked_d = ip_ok_d && !total_header_q.fragment && (udp || total_header_q.protocol == ProtocolTcp);
    length_ok = udp ? covered_length >= 16'd8 && covered_length <= segment_length && segment_length >= 16'd8
                    : segment_length >= 16'd20;
    l4_sum_d = l4_checked_d && length_ok ? fold(l4_total_q + 32'(total_header_q.protocol) + 32'(covered_length)) : '0;
    l4_ok_d = l4_checked_d && length_ok &&
              (total_header_q.insert || l4_sum_d == 16'hffff || (udp && !total_header_q.v6 && total_header_q.udp_unused));
    l4_csum_d = '0;
    if (l4_ok_d && total_header_q.insert) l4_csum_d = udp && l4_sum_d == 16'hffff ? 16'hffff : ~l4_sum_d;
  end

  assign advance = !(total_done_q && result_valid_q && !result_ready_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      result_valid_q <= 1'b0;
    end else if (total_done_q && advance) begin
      result_valid_q <= 1'b1;
    end else if (result_ready_i) begin
      result_valid_q <= 1'b0;
    end
    if (total_done_q && advance) begin
      ip_ok_q <= ip_ok_d;
      l4_checked_q <= l4_checked_d;
      l4_ok_q <= l4_ok_d;
      ip_sum_q <= ip_sum_d;
      l4_sum_q <= l4_sum_d;
      ip_csum_q <= ip_csum_d;
      l4_csum_q <= l4_csum_d;
    end
  end

  assign result_valid_o = result_valid_q;
  assign ip_ok_o = ip_ok_q;
  assign l4_checked_o = l4_checked_q;
  assign l4_ok_o = l4_ok_q;
  assign ip_sum_o = ip_sum_q;
  assign l4_sum_o = l4_sum_q;
  assign ip_csum_o = ip_csum_q;
  assign l4_csum_o = l4_csum_q;

  // ---- Contract
  result_stable_until_taken :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    result_valid_o && !result_ready_i |=> result_valid_o && $stable({ip_ok_o, l4_checked_o, l4_ok_o}) &&
    $stable({ip_sum_o, l4_sum_o, ip_csum_o, l4_csum_o}))
  else $error("a result changed before it was taken");

  source_stable_until_accepted :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    valid_i && !ready_o |=> valid_i && $stable({first_i, last_i, insert_i, keep_i}) && $stable(data_i))
  else $error("the source changed a beat before it was accepted");

  keep_without_hole :
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_i |-> (keep_i & (keep_i + 1'b1)) == '0)
  else $error("keep_i has a hole");

  keep_full_unless_last :
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_i && !last_i |-> &keep_i)
  else $error("a beat before the last one is not full");

  l4_ok_implies_checked_and_ip_ok :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    result_valid_o |-> (!l4_ok_o || l4_checked_o) && (!l4_checked_o || ip_ok_o))
  else $error("a verdict without its premise");
endmodule

`default_nettype wire
