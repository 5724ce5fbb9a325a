/// The check bits of a Hamming code with overall parity: one wrong bit is correctable, two are detectable.
///
/// Check bit k is the parity of the data bits whose column has bit k; the column of data bit i is the i-th number that is no power of
/// two: 3, 5, 6, 7, 9, ... The overall parity, the highest bit, makes the number of ones even. The twin is model/core/secded.h.
///
/// Latency: none, combinational. There is no bad input.
`default_nettype none

module secded_encoder #(
  parameter  int unsigned DataBits = 64,
  // Derived: the fewest bits whose columns name every bit, and the parity.
  localparam int unsigned HammingBits = $clog2(DataBits + 1 + $clog2(DataBits + 1 + $clog2(DataBits + 1))),
  localparam int unsigned CodeBits = DataBits + HammingBits + 1
) (
  input  wire logic [DataBits-1:0] data_i,
  output logic      [CodeBits-1:0] code_o
);
  if ((1 << HammingBits) < DataBits + HammingBits + 1) begin : gen_short_code
    $fatal(1, "secded_encoder: HammingBits is too small");
  end

  // The data bits under check bit k.
  function automatic logic [DataBits-1:0] mask_of(int unsigned k);
    int unsigned column = 3;
    for (int unsigned i = 0; i < DataBits; i++) begin
      if ((column & (column - 1)) == 0) column++;
      mask_of[i] = (column & (1 << k)) != 0;
      column++;
    end
  endfunction

  logic [HammingBits-1:0] check;
  for (genvar k = 0; k < HammingBits; k++) begin : gen_check
    localparam logic [DataBits-1:0] Mask = mask_of(k);
    assign check[k] = ^(data_i & Mask);
  end
  assign code_o = {^{check, data_i}, check, data_i};
endmodule

`default_nettype wire
