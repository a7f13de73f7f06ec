// A node modbus-serial client: node modbus_serial_client.js PORT UNIT FUNCTION ADDRESS COUNT; prints the registers as JSON.
const ModbusRTU = require("modbus-serial");
const [port, unit, fn, address, count] = process.argv.slice(2).map(Number);
const client = new ModbusRTU();
(async () => {
  await client.connectTCP("127.0.0.1", { port });
  client.setID(unit);
  client.setTimeout(5000);
  const answer = fn === 3 ? await client.readHoldingRegisters(address, count) : await client.readInputRegisters(address, count);
  console.log(JSON.stringify(answer.data));
  client.close(() => process.exit(0));
})().catch((fault) => { console.error(fault.message); process.exit(1); });
