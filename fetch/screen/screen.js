// SPDX-License-Identifier: MIT
// The machine's screen, by noVNC.  session.json has its name and the password of its VNC; it can be had as long as nxfetch
// runs, which tells a machine that has ended from a connection that is lost.
import RFB from './novnc/core/rfb.js';

const RETRY_MS = 1000;
const byId = id => document.getElementById(id);
const needMachine = ['keys', 'screenshot', 'reset', 'power'].map(byId);
let rfb = null;
let fits = true;

function say(text) {
    byId('state').textContent = text;
}

function setUp(up) {
    for (const button of needMachine)
        button.disabled = !up;
    // QEMU says whether it lets the power be switched.
    if (up && !rfb.capabilities.power)
        byId('reset').disabled = byId('power').disabled = true;
}

function giveUp(why) {
    say('no connection');
    byId('why').textContent = why;
    byId('gone').hidden = false;
    byId('again').focus();
}

async function getSession() {
    const answer = await fetch('session.json', { cache: 'no-store' });
    if (!answer.ok)
        throw new Error(answer.status === 403 ? 'Open the whole address that nxfetch has printed.'
                                              : `nxfetch answers with ${answer.status}.`);
    return answer.json();
}

async function connect() {
    byId('gone').hidden = true;
    say('connecting');
    let session;
    try {
        session = await getSession();
    } catch (error) {
        giveUp(error instanceof TypeError ? 'The machine has ended, or the way to it is cut: nxfetch does not answer any more.' : error.message);
        return;
    }
    byId('name').textContent = document.title = session.name;
    const url = new URL('websocket', location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    let refused = false;
    rfb = new RFB(byId('screen'), url.href, { credentials: { password: session.password ?? '' }, wsProtocols: ['binary'] });
    rfb.scaleViewport = fits;
    rfb.clipViewport = !fits;
    rfb.addEventListener('connect', () => {
        say('connected');
        setUp(true);
        rfb.focus();
    });
    rfb.addEventListener('capabilities', () => setUp(true));
    rfb.addEventListener('securityfailure', () => {
        refused = true;
    });
    rfb.addEventListener('disconnect', () => {
        setUp(false);
        rfb = null;
        if (refused) {
            giveUp('The machine does not take the password.');
            return;
        }
        say('no connection: trying again');
        setTimeout(connect, RETRY_MS);
    });
}

function sure(question) {
    byId('question').textContent = question;
    byId('sure').returnValue = 'no';
    byId('sure').showModal();
    return new Promise(resolve => {
        byId('sure').addEventListener('close', () => resolve(byId('sure').returnValue === 'yes'), { once: true });
    });
}

function onClick(id, does) {
    byId(id).addEventListener('click', async () => {
        await does();
        rfb?.focus();
    });
}

onClick('fullscreen', () => document.fullscreenElement ? document.exitFullscreen() : byId('screen').requestFullscreen());
onClick('fit', () => {
    fits = !fits;
    byId('fit').setAttribute('aria-pressed', fits);
    if (rfb) {
        rfb.clipViewport = !fits;
        rfb.scaleViewport = fits;
    }
});
onClick('keys', () => rfb?.sendCtrlAltDel());
onClick('screenshot', () => {
    byId('screen').querySelector('canvas').toBlob(png => {
        const link = document.createElement('a');
        link.href = URL.createObjectURL(png);
        link.download = `${document.title.replace(/[^\p{L}\p{N}._-]+/gu, '-')}-${new Date().toISOString().replace(/[:.]/g, '-')}.png`;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    });
});
onClick('reset', async () => {
    if (await sure('Reset the machine?  What its programs have not saved is lost.'))
        rfb?.machineReset();
});
onClick('power', async () => {
    if (await sure('Power the machine down?  Its power button is pressed; what it has written is thrown away when it is off.'))
        rfb?.machineShutdown();
});
onClick('again', connect);

connect();
