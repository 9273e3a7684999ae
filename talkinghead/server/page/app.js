"use strict";

const get = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
let channel = null;
let microphone = null;

function show(text) {
  get("state").textContent = text;
}

function send(message) {
  channel.send(JSON.stringify(message));
}

async function post(path, body, type) {
  const answer = await fetch(path, { method: "POST", body, headers: { ...headers, "Content-Type": type } });
  const read = await answer.json();
  if (!answer.ok) {
    const hint = answer.status === 401 ? " (open this page as /#token=TOKEN)" : "";
    throw new Error((typeof read.detail === "string" ? read.detail : JSON.stringify(read.detail)) + hint);
  }
  return read;
}

async function portraitId() {
  const file = get("portrait").files[0];
  return file ? (await post("/v1/portraits", file, "application/octet-stream")).id : "example";
}

async function gathered(connection) {
  if (connection.iceGatheringState === "complete") return;
  await new Promise((resolve) => {
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "complete") resolve();
    });
    setTimeout(resolve, 2000);
  });
}

async function connect() {
  get("connect").disabled = true;
  show("opening the portrait");
  const connection = new RTCPeerConnection();
  window.connection = connection; // for whoever wants to look at its statistics
  connection.addTransceiver("video", { direction: "recvonly" });
  microphone = connection.addTransceiver("audio", { direction: "sendrecv" });
  const stream = new MediaStream();
  get("video").srcObject = stream;
  connection.ontrack = ({ track, receiver }) => {
    receiver.jitterBufferTarget = 120; // ms for both, so that sound and picture are in step from the beginning
    stream.addTrack(track);
  };
  connection.onconnectionstatechange = () => {
    show(connection.connectionState);
    const on = connection.connectionState === "connected";
    for (const each of document.querySelectorAll("#say button, #microphone")) each.disabled = !on;
    if (["failed", "closed", "disconnected"].includes(connection.connectionState)) get("connect").disabled = false;
  };
  channel = connection.createDataChannel("control");
  channel.onmessage = (event) => {
    const message = JSON.parse(event.data);
    show(message.message || message.type.replace("_", " "));
  };
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  const { sdp, type } = connection.localDescription;
  const avatar = { portrait: await portraitId() };
  await connection.setRemoteDescription(await post("/v1/avatar/offer", JSON.stringify({ sdp, type, avatar }), "application/json"));
}

get("connect").onclick = () =>
  connect().catch((error) => {
    show(error.message);
    get("connect").disabled = false;
  });

get("microphone").onchange = async (event) => {
  const on = event.target.checked;
  try {
    if (on && !microphone.sender.track) {
      const heard = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
      await microphone.sender.replaceTrack(heard.getAudioTracks()[0]);
    }
    send({ type: "microphone", on });
  } catch (error) {
    show(`no microphone: ${error.message}`);
    event.target.checked = false;
  }
};

get("say").onsubmit = (event) => {
  event.preventDefault();
  send({ type: "say", text: get("text").value });
};

get("interrupt").onclick = () => send({ type: "interrupt" });
