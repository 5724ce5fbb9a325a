/// The check bits of a Hsiao code: one wrong bit is correctable, two are detectable. The twin is model/core/secded.h.
///
/// Check bit k, above the data, is the parity of the data bits whose column (secded_columns.svh) has bit k.
///
/// Latency: none, combinational. There is no bad input.
`default_nettype none

module secded_encoder #(
  parameter  int unsigned DataBits = 64,
  // Derived: the fewest bits that have a column for every data bit.
  localparam int unsigned CheckBits = $clog2(DataBits + 1 + $clog2(DataBits + 1 + $clog2(DataBits + 1))) + 1,
  localparam int unsigned CodeBits = DataBits + CheckBits
) (
  input  wire logic [DataBits-1:0] data_i,
  output logic      [CodeBits-1:0] code_o
);
  if ((1 << (CheckBits - 1)) < DataBits + CheckBits) begin : gen_short_code
    $fatal(1, "secded_encoder: CheckBits is too small");
  end

  `include "secded_columns.svh"

  // The data bits under check bit k.
  function automatic logic [DataBits-1:0] mask_of(int unsigned k);
    for (int unsigned i = 0; i < DataBits; i++) mask_of[i] = |(Columns[i] & CheckBits'(1 << k));
  endfunction

  logic [CheckBits-1:0] check;
  for (genvar k = 0; k < CheckBits; k++) begin : gen_check
    localparam logic [DataBits-1:0] Mask = mask_of(k);
    assign check[k] = ^(data_i & Mask);
  end
  assign code_o = {check, data_i};
endmodule

`default_nettype wire
